package migrate

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"

	"github.com/cordonmesh/cordon/acl/policy"
)

// step is one value on the way from the file's root to a place in it.
type step struct {
	key        string // of an object's member; empty: an element
	value      *hujson.Value
	start, end int // of the member, key included, or the element
	keyEnd     int // of a member's key; 0 for an element
}

// way is the steps to a place; the first is a section.
type way []step

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

// kind gives the section and the last key of a way in lower case: "ssh.recorder".
func (w way) kind() string {
	if len(w) == 1 {
		return w.section()
	}
	return w.section() + "." + w.under(len(w)-1)
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
				return &step{value: e, start: e.StartOffset, end: e.EndOffset}
			}
		}
	}
	return nil
}

// textOf gives the text of a string; empty for anything else, and for the name of an
// element, which has none.
func textOf(v *hujson.Value) string {
	if v == nil {
		return ""
	}
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

// splice is a piece of the text with what takes its place.
type splice struct {
	start, end int
	text       string
	now        int // where its text is in what came of it
}

// apply puts pieces into the text. They are sorted and do not overlap.
func (m *migration) apply(all []splice) {
	var out []byte
	at := 0
	for i, s := range all {
		out = append(out, m.text[at:s.start]...)
		all[i].now = len(out)
		out = append(out, s.text...)
		at = s.end
	}
	m.text = append(out, m.text[at:]...)
	m.rounds = append(m.rounds, all)
}
