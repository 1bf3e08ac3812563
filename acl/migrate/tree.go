package migrate

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// step is one value on the way from the file's root to a place in it.
type step struct {
	key        string // of an object's member; empty: an element
	index      int    // of an element
	value      *hujson.Value
	start, end int // of the member, key included, or the element
	keyEnd     int // of a member's key; 0 for an element
}

// way is the steps to a place; the first is a section.
type way []step

// String gives the way as people write it: acls[3].src[0].
func (w way) String() string {
	var b strings.Builder
	for i, s := range w {
		switch {
		case s.keyEnd == 0:
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// section gives the name of the section that a way leads into, in lower case.
func (w way) section() string {
	if len(w) == 0 {
		return ""
	}
	return strings.ToLower(w[0].key)
}

// under gives the key of a step in lower case; empty if the way is shorter.
func (w way) under(i int) string {
	if i >= len(w) {
		return ""
	}
	return strings.ToLower(w[i].key)
}

// wayTo finds the values around an offset, from the outside.
func wayTo(root *hujson.Value, offset int) way {
	var w way
	for v := root; v != nil; {
		next := within(v, offset)
		if next == nil {
			return w
		}
		w = append(w, *next)
		v = next.value
	}
	return w
}

// within gives the member or element of a value around an offset, or nil.
func within(v *hujson.Value, offset int) *step {
	switch c := v.Value.(type) {
	case *hujson.Object:
		for i := range c.Members {
			name, value := &c.Members[i].Name, &c.Members[i].Value
			if name.StartOffset <= offset && offset < value.EndOffset {
				return &step{key: textOf(name), value: value, start: name.StartOffset, end: value.EndOffset, keyEnd: name.EndOffset}
			}
		}
	case *hujson.Array:
		for i := range c.Elements {
			e := &c.Elements[i]
			if e.StartOffset <= offset && offset < e.EndOffset {
				return &step{index: i, value: e, start: e.StartOffset, end: e.EndOffset}
			}
		}
	}
	return nil
}

// textOf gives the text of a string; empty for anything else.
func textOf(v *hujson.Value) string {
	if l, ok := v.Value.(hujson.Literal); ok && l.Kind() == '"' {
		return l.String()
	}
	return ""
}

// offset gives the place of a position in bytes.
func (m *migration) offset(p policy.Position) int {
	at := 0
	for range p.Line - 1 {
		i := bytes.IndexByte(m.text[at:], '\n')
		if i < 0 {
			return len(m.text)
		}
		at += i + 1
	}
	for range p.Column - 1 {
		_, size := utf8.DecodeRune(m.text[at:])
		at += size
	}
	return at
}

// line gives the line of an offset. Comments that take something's place keep
// the lines.
func (m *migration) line(offset int) int { return 1 + bytes.Count(m.text[:offset], []byte("\n")) }

// splice is a piece of the text with what takes its place.
type splice struct {
	start, end int
	text       string
}

// apply puts pieces into the text. They are sorted and do not overlap.
func (m *migration) apply(all []splice) {
	var out []byte
	at := 0
	for _, s := range all {
		out = append(append(out, m.text[at:s.start]...), s.text...)
		at = s.end
	}
	m.text = append(out, m.text[at:]...)
}
