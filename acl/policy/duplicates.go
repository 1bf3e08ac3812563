package policy

import (
	"fmt"
	"slices"
	"strings"
)

// duplicates refuses a key that stands twice in one object, anywhere: a reader of
// the file sees the first only. So that the rest of a file that is refused anyway is
// checked too, what the second says is taken as if it stood in the first. It recurses
// as deep as the file, which is bounded.
func (r *reader) duplicates(v *value) {
	if v.isObject() && v.repeats() {
		r.joinRepeated(v)
	}
	for i := range v.inner {
		r.duplicates(&v.inner[i])
	}
}

// where says in words where something stands.
func (r *reader) where(at int) string {
	p := r.pos(at)
	return fmt.Sprintf("line %d, column %d", p.Line, p.Column)
}

func (r *reader) joinRepeated(v *value) {
	seen := make(map[string]int, len(v.inner)/2)
	kept := v.inner[:0]
	for i := 0; i < len(v.inner); i += 2 {
		key, says := v.inner[i], v.inner[i+1]
		name := key.name()
		if first, ok := seen[name]; ok {
			r.fail(key.at, name, complain("stands twice in this object, first in "+r.where(kept[first].at), "keep one of them"))
			kept[first+1].join(&says)
			continue
		}
		seen[name] = len(kept)
		kept = append(kept, key, says)
	}
	v.inner = kept
}

// repeats tells whether some key of an object may stand twice: certainly not if few do
// not.
func (v *value) repeats() bool {
	const few = 8
	if len(v.inner) > 2*few {
		return true
	}
	var names [few]string
	for i := 0; i < len(v.inner); i += 2 {
		if strings.IndexByte(v.inner[i].text, '\\') >= 0 {
			return true
		}
		name := v.inner[i].name()
		if slices.Contains(names[:i/2], name) {
			return true
		}
		names[i/2] = name
	}
	return false
}
