package policy

import (
	"encoding/json"
	"strings"
)

// value is one value of a file.
type value struct {
	at    int     // offset of its first byte
	text  string  // as it stands in the file
	inner []value // elements of a list; keys and values of an object by turns
}

func (v *value) isList() bool   { return v.text[0] == '[' }
func (v *value) isObject() bool { return v.text[0] == '{' }
func (v *value) isText() bool   { return v.text[0] == '"' }
func (v *value) isNull() bool   { return v.text[0] == 'n' }

func (v *value) isNumber() bool {
	return v.text[0] == '-' || v.text[0] >= '0' && v.text[0] <= '9'
}

// isEmpty tells whether a value says nothing: null, or an empty list, object or
// string.
func (v *value) isEmpty() bool {
	if v.isList() || v.isObject() {
		return len(v.inner) == 0
	}
	return v.isNull() || v.text == `""`
}

// unquoted gives what a string says. One without escapes says what it holds: the
// parser saw to its quotes, and the reader to its being UTF-8.
func (v *value) unquoted() string {
	if strings.IndexByte(v.text, '\\') < 0 {
		return v.text[1 : len(v.text)-1]
	}
	return unescaped(v.text)
}

// unescaped is apart from unquoted, of which nearly every call else made room for what
// json writes to.
func unescaped(quoted string) (text string) {
	_ = json.Unmarshal([]byte(quoted), &text) // the parser saw to its escapes
	return text
}

// shown gives what an error shows of a value that is of the wrong kind: of a list or an
// object nothing, for it may have many lines.
func (v *value) shown() string {
	switch {
	case v.isText():
		return v.name()
	case v.isList(), v.isObject():
		return ""
	}
	return v.text
}

// name is unquoted, without the blanks around it.
func (v *value) name() string { return strings.TrimSpace(v.unquoted()) }

// join adds what a list or object holds to another one.
func (v *value) join(from *value) {
	if v.isList() && from.isList() || v.isObject() && from.isObject() {
		v.inner = append(v.inner, from.inner...)
	}
}

// appendCompact writes a value as standard JSON without blanks and comments. It
// recurses as deep as the file, which is bounded.
func appendCompact(b []byte, v *value) []byte {
	if !v.isList() && !v.isObject() {
		return append(b, v.text...)
	}
	b = append(b, v.text[0])
	for i := range v.inner {
		switch {
		case i == 0:
		case v.isObject() && i%2 == 1:
			b = append(b, ':')
		default:
			b = append(b, ',')
		}
		b = appendCompact(b, &v.inner[i])
	}
	return append(b, v.text[len(v.text)-1])
}
