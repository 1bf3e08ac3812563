package policy

import "strings"

// parser reads JSON with comments and trailing commas into a tree. It takes what
// hujson takes, which says what is wrong with other files, and a comment in a last line
// without an end besides, as editors leave it. A tree of its own is small, and a policy
// is read far more often than it is refused.
// It recurses as deep as its input, and stops where that is too deep, or too long.
type parser struct {
	text   string
	at     int
	ended  int     // where the last value ended
	want   byte    // what is missing where it stopped: a comma, a colon, the quote of a key; else a value
	around []int   // offsets of the brackets around
	open   []value // of the lists and objects around, what they have so far
	values int     // so far, as tooMuch counts them
	kept   chunks[value]
}

// parse gives the tree of a text. If that is not JSON, ok is false, and p stands where it
// stopped.
func (p *parser) parse() (root value, ok bool) {
	ok = p.blanks() && p.value(&root) && p.blanks()
	return root, ok && p.at == len(p.text)
}

// value reads one value.
func (p *parser) value(v *value) bool {
	if p.at == len(p.text) {
		return false
	}
	v.at = p.at
	ok := false
	switch p.text[p.at] {
	case '{', '[':
		v.inner, ok = p.inside(p.text[p.at] + 2) // the bracket that closes it
	case '"':
		ok = p.quoted()
	default:
		ok = p.word()
	}
	if v.text = p.text[v.at:p.at]; ok {
		p.ended = p.at
	}
	return ok
}

// inside reads the elements of a list, or the keys and values of an object.
func (p *parser) inside(end byte) (all []value, ok bool) {
	base := len(p.open)
	p.around = append(p.around, p.at)
	for p.at++; ; p.at++ { // over the bracket, then over each comma
		if p.values++; p.values > maxValues || len(p.around) > maxDepth {
			return nil, false
		}
		if !p.blanks() {
			return nil, false
		}
		if p.next(end) {
			break
		}
		if end == '}' && !p.key() || !p.element() {
			return nil, false
		}
		if p.next(end) {
			break
		}
		if p.at == len(p.text) || p.text[p.at] != ',' {
			p.want = ','
			return nil, false
		}
	}
	p.around = p.around[:len(p.around)-1]
	return p.keep(base), true
}

// next takes a byte if it is the next.
func (p *parser) next(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// key reads a key and its colon.
func (p *parser) key() bool {
	p.want = '"'
	if p.at == len(p.text) || p.text[p.at] != '"' || !p.element() {
		return false
	}
	p.want = ':'
	if !p.next(':') {
		return false
	}
	p.values++
	p.want = 0
	return p.blanks()
}

// element reads one of those inside, and the blanks behind it.
func (p *parser) element() bool {
	var v value
	ok := p.value(&v)
	p.open = append(p.open, v)
	return ok && p.blanks()
}

// keep moves what is open from base on into the tree.
func (p *parser) keep(base int) []value {
	kept := append(p.kept.list(len(p.open)-base), p.open[base:]...)
	p.open = p.open[:base]
	return kept
}

// blanks skips blanks and comments. A comment that does not end is none.
func (p *parser) blanks() bool {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			p.at++
		case c != '/':
			return true
		case strings.HasPrefix(p.text[p.at:], "//"):
			line, _, _ := strings.Cut(p.text[p.at:], "\n")                            // the last line need not end
			if strings.Contains(line, "\u2028") || strings.Contains(line, "\u2029") { // lines end there too, to some
				return false
			}
			p.at = min(p.at+len(line)+1, len(p.text))
		case strings.HasPrefix(p.text[p.at:], "/*"):
			comment, _, ends := strings.Cut(p.text[p.at+2:], "*/")
			if !ends {
				return false
			}
			p.at += len(comment) + 4
		default:
			return true
		}
	}
	return true
}

// quoted reads a string.
func (p *parser) quoted() bool {
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return true
		case c < ' ', c == '\\' && !p.escape():
			return false
		}
	}
	return false
}

// escape goes to the last byte of an escape.
func (p *parser) escape() bool {
	if p.at++; p.at == len(p.text) {
		return false
	}
	if p.text[p.at] != 'u' {
		return strings.IndexByte(`"\/bfnrt`, p.text[p.at]) >= 0
	}
	for range 4 {
		if p.at++; p.at == len(p.text) || strings.IndexByte("0123456789abcdefABCDEF", p.text[p.at]) < 0 {
			return false
		}
	}
	return true
}

// word reads null, true, false or a number.
func (p *parser) word() bool {
	from := p.at
	for p.at < len(p.text) && (asciiLetter(p.text[p.at]) || strings.IndexByte("+-."+digits, p.text[p.at]) >= 0) {
		p.at++
	}
	switch word := p.text[from:p.at]; word {
	case "null", "true", "false":
		return true
	default:
		if !isNumber(word) {
			p.at = from
			return false
		}
		return true
	}
}

// isNumber tells whether a text is a number as JSON has them.
func isNumber(text string) bool {
	text = strings.TrimPrefix(text, "-")
	whole := strings.TrimLeft(text, digits)
	if len(whole) == len(text) || text[0] == '0' && len(text)-len(whole) > 1 {
		return false
	}
	if fraction, ok := strings.CutPrefix(whole, "."); ok {
		if whole = strings.TrimLeft(fraction, digits); len(whole) == len(fraction) {
			return false
		}
	}
	if whole == "" {
		return true
	}
	if whole[0]|0x20 != 'e' {
		return false
	}
	exponent := whole[1:]
	if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
		exponent = exponent[1:]
	}
	return exponent != "" && strings.Trim(exponent, digits) == ""
}
