package policy

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Condition compares an attribute of a device with a value.
type Condition struct {
	Attribute string // "node:os", "custom:mdm"
	Op        string // "==", "!=", "<", "<=", ">", ">=", "IN", "NOT IN", "IS SET" or "NOT SET"
	Values    []any  // string, float64 or bool: one; for IN and NOT IN several; for IS SET and NOT SET none
}

const (
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits    = "0123456789"
	nameBytes = letters + digits + "_-."
)

// scanner cuts a condition into words. At is where it stands, and after a
// complaint where the trouble is.
type scanner struct {
	text string
	at   int
}

// blanks goes past blanks and gives what follows.
func (s *scanner) blanks() string {
	rest := strings.TrimLeft(s.text[s.at:], " \t")
	s.at = len(s.text) - len(rest)
	return rest
}

func (s *scanner) end() bool { return s.blanks() == "" }

// run takes the bytes that are of a set.
func (s *scanner) run(set string) string {
	rest := s.blanks()
	word := rest[:len(rest)-len(strings.TrimLeft(rest, set))]
	s.at += len(word)
	return word
}

// take goes past a byte if it comes next.
func (s *scanner) take(c byte) bool {
	if rest := s.blanks(); rest == "" || rest[0] != c {
		return false
	}
	s.at++
	return true
}

// attribute reads NAMESPACE:NAME.
func (s *scanner) attribute() (string, *complaint) {
	start := s.at
	namespace := s.run(letters + digits)
	if namespace != "" && s.at < len(s.text) && s.text[s.at] == ':' {
		s.at++
		before := s.at
		if s.run(nameBytes); s.at > before && strings.TrimLeft(s.text[before:before+1], " \t") != "" {
			return s.text[start:s.at], nil
		}
	}
	s.at = start
	return "", complain("begins with no attribute", "name one with its namespace, as node:os or custom:mdm")
}

// operator reads what compares.
func (s *scanner) operator() (string, *complaint) {
	rest := s.blanks()
	start := s.at
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if strings.HasPrefix(rest, op) {
			s.at += len(op)
			return op, nil
		}
	}
	op := strings.ToUpper(s.run(letters))
	if op == "IS" || op == "NOT" {
		op += " " + strings.ToUpper(s.run(letters))
	}
	switch op {
	case "IN", "NOT IN", "IS SET", "NOT SET":
		return op, nil
	}
	s.at = start
	return "", complain("has no comparison here", "use ==, !=, <, <=, >, >=, IN, NOT IN, IS SET or NOT SET")
}

// value reads 'text', "text", a number, true or false.
func (s *scanner) value() (any, *complaint) {
	rest := s.blanks()
	start := s.at
	if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		end := strings.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return nil, complain("has a quote that does not end", "close it")
		}
		s.at += end + 2
		return rest[1 : end+1], nil
	}
	word := s.run(nameBytes + "+")
	switch word {
	case "true", "false":
		return word == "true", nil
	}
	if strings.Trim(word, digits+"+-.eE") == "" {
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			return n, nil
		}
	}
	s.at = start
	return nil, complain("has no value here", "write 'text' in single quotes, a number, true or false")
}

// list reads [value, ...].
func (s *scanner) list() ([]any, *complaint) {
	if !s.take('[') {
		return nil, complain("has no list here", "write ['a', 'b']")
	}
	var all []any
	for {
		one, bad := s.value()
		if bad != nil {
			return nil, bad
		}
		all = append(all, one)
		if s.take(']') {
			return all, nil
		}
		if !s.take(',') {
			return nil, complain("has a list that does not end", "close it with ]")
		}
	}
}

// inside gives the offset in the file of byte i of a string's text, as
// [reader.text] gives it: escapes are longer there than what they stand for.
func inside(v *value, i int) int {
	raw, text := v.text, v.unquoted()
	i += len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	at := 1
	for n := 0; n < i && at < len(raw)-1; {
		width, escape := 1, 1
		if raw[at] == '\\' {
			width, escape = escaped(raw[at:])
		}
		n += width
		at += escape
	}
	return v.at + at
}

// escaped gives how many bytes an escape stands for, and how many it has.
func escaped(raw string) (width, escape int) {
	if raw[1] != 'u' {
		return 1, 2
	}
	first := hexRune(raw)
	if !utf16.IsSurrogate(first) {
		return utf8.RuneLen(first), 6
	}
	if len(raw) > 12 && raw[6] == '\\' && raw[7] == 'u' {
		if both := utf16.DecodeRune(first, hexRune(raw[6:])); both != utf8.RuneError {
			return utf8.RuneLen(both), 12
		}
	}
	return utf8.RuneLen(utf8.RuneError), 6
}

// hexRune reads \u1234.
func hexRune(raw string) rune {
	n, _ := strconv.ParseUint(raw[2:6], 16, 16)
	return rune(n)
}
