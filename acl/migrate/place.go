package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// origin gives where an offset of the text was in the file as it was: who reads the
// report has that file, and no other.
func (m *migration) origin(offset int) int {
	for _, round := range slices.Backward(m.rounds) {
		offset = before(round, offset)
	}
	return offset
}

// before gives where an offset was before pieces were put in.
func before(round []splice, offset int) int {
	i := sort.Search(len(round), func(i int) bool { return round[i].now > offset }) - 1
	if i < 0 {
		return offset
	}
	if s := round[i]; offset >= s.now+len(s.text) {
		return s.end + offset - s.now - len(s.text)
	}
	return round[i].start
}

// placed gives the items in the order of the file, each with its place in it and the
// way there.
func (m *migration) placed() ([]Item, error) {
	root, err := hujson.Parse(m.src)
	if err != nil {
		return nil, err
	}
	wanted := make(map[int]string)
	for _, item := range m.items {
		wanted[item.at] = ""
	}
	ways(&root, "", wanted)
	slices.SortStableFunc(m.items, func(a, b Item) int { return cmp.Compare(a.at, b.at) })
	line, column, at := 1, 1, 0
	for i := range m.items {
		for ; at < m.items[i].at; at++ {
			switch {
			case m.src[at] == '\n':
				line, column = line+1, 1
			case utf8.RuneStart(m.src[at]):
				column++
			}
		}
		m.items[i].Line, m.items[i].Column = line, column
		m.items[i].Where = cmp.Or(wanted[at], m.items[i].Where)
	}
	return m.items, nil
}

// ways finds the ways to those offsets that are wanted: acls[3].src[0].
func ways(v *hujson.Value, way string, wanted map[int]string) {
	i := 0
	each(v, func(name, value *hujson.Value) {
		part, at := fmt.Sprintf("%s[%d]", way, i), value.StartOffset
		if name != nil {
			part, at = strings.TrimPrefix(way+"."+textOf(name), "."), name.StartOffset
		}
		for _, offset := range []int{at, value.StartOffset} {
			if _, ok := wanted[offset]; ok {
				wanted[offset] = part
			}
		}
		ways(value, part, wanted)
		i++
	})
}
