package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// piece is a value with the comments around and in it, ready to be laid out.
type piece struct {
	key    *value // of an object's member; else nil
	value  *value
	before []string // comments on lines of their own before it
	behind []string // comments on the line where it ends
	inner  []piece

	opening []string // comments behind the bracket that opens it
	closing []string // comments before the bracket that closes it, behind no part

	oneLine bool // no comment is inside
	width   int  // in characters on one line, if it may stand on one
}

// pieceOf gives a value of a source with the comments inside of it. It recurses as deep
// as the file, which is bounded.
func pieceOf(v *value, source string) piece {
	p := piece{value: v, oneLine: true, width: utf8.RuneCountInString(v.text)}
	if !v.isList() && !v.isObject() {
		return p
	}
	p.width = len("{}")
	step := 1
	if v.isObject() {
		step = 2
	}
	behind := &p.opening // where comments go that begin on the line of what is before
	at := v.at + 1
	for i := 0; i < len(v.inner); i += step {
		first, last := &v.inner[i], &v.inner[i+step-1]
		beside, before := comments(source[at:first.at])
		*behind = append(*behind, beside...)
		one := pieceOf(last, source)
		if step == 2 {
			one.key = first
			inside, below := comments(source[end(first):last.at])
			before = slices.Concat(before, inside, below)
		}
		one.before = before
		p.inner = append(p.inner, one)
		behind = &p.inner[len(p.inner)-1].behind
		at = end(last)
	}
	beside, closing := comments(source[at : end(v)-1])
	*behind = append(*behind, beside...)
	p.closing = closing
	p.measure()
	return p
}

// end gives the offset behind a value.
func end(v *value) int { return v.at + len(v.text) }

// measure finds whether a list or an object may stand on one line, and its width there.
func (p *piece) measure() {
	p.oneLine = len(p.opening)+len(p.closing) == 0
	for i := range p.inner {
		one := &p.inner[i]
		p.oneLine = p.oneLine && one.oneLine && len(one.before)+len(one.behind) == 0
		p.width += one.width
		if one.key != nil {
			p.width += utf8.RuneCountInString(one.key.text) + len(": ")
		}
		if i > 0 {
			p.width += len(", ")
		}
	}
}

// empty gives the text of a value without parts.
func (p *piece) empty() string {
	if p.value.isList() {
		return "[]"
	}
	if p.value.isObject() {
		return "{}"
	}
	return p.value.text
}

// holdsObjects tells whether a part of a list or an object is an object.
func (p *piece) holdsObjects() bool {
	return slices.ContainsFunc(p.inner, func(one piece) bool { return one.value.isObject() })
}

// comments gives the comments between two values: those that begin on the line of what
// is before, and the others. What else is there are blanks, commas and colons.
func comments(gap string) (beside, below []string) {
	into := &beside
	for gap != "" {
		size := 1
		switch {
		case strings.HasPrefix(gap, "//"):
			line, _, _ := strings.Cut(gap, "\n") // the last one need not end
			size = len(line)
			*into = append(*into, strings.TrimRight(line, " \t\r"))
		case strings.HasPrefix(gap, "/*"):
			size = 2 + strings.Index(gap[2:], "*/") + 2
			*into = append(*into, strings.ReplaceAll(gap[:size], "\r\n", "\n"))
		case gap[0] == '\n':
			into = &below
		}
		gap = gap[size:]
	}
	return beside, below
}
