package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// definition is something in a policy besides the rules that open or forbid: what
// they use by name, and what people and the coordinator go by.
type definition struct {
	name   string // "approve:vendor"
	fields []field
	users  map[string]bool // labels of what uses it ("rule g1")

	used    bool // it counts, whether or not anything names it
	alone   bool // and that it comes or goes is told, too
	opens   bool // something uses it to open
	forbids bool // something uses it to forbid
}

// field is one thing that a definition says.
type field struct {
	say    string   // with a %s for its values: "needs %s approvers"
	values []string // sorted, without duplicates; of a number one
	rank   int64    // of a number
	number bool
	times  []window // of a schedule
	sense  int      // 1: more opens more; -1: more opens less; 0: nobody can tell
}

// definitions are those of one policy, by name.
type definitions map[string]*definition

// at gives the definition of a name, and makes it if need be.
func (d definitions) at(name string) *definition {
	one := d[name]
	if one == nil {
		one = &definition{name: name, users: make(map[string]bool)}
		d[name] = one
	}
	return one
}

// words adds what is one of several words. Said twice, it is all of them.
func (d *definition) words(say string, sense int, values ...string) {
	for i := range d.fields {
		if f := &d.fields[i]; f.say == say {
			f.values = slices.Compact(slices.Sorted(slices.Values(slices.Concat(f.values, values))))
			return
		}
	}
	d.fields = append(d.fields, field{say: say, sense: sense, values: slices.Compact(slices.Sorted(slices.Values(values)))})
}

// number adds what is more or less.
func (d *definition) number(say string, sense int, rank int64, text string) {
	d.fields = append(d.fields, field{say: say, sense: sense, values: []string{text}, rank: rank, number: true})
}

// flag adds what is so or not.
func (d *definition) flag(say string, sense int, set bool) {
	rank, text := int64(0), "no"
	if set {
		rank, text = 1, "yes"
	}
	d.number(say, sense, rank, text)
}

// compareDefinitions tells what becomes of what two policies define. What is used
// in one of them alone is told by the rules that use it, and what is used in neither
// has no effect.
func compareDefinitions(was, is definitions, tell func(how, Change)) {
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		old, fresh := was[name], is[name]
		switch {
		case old == nil && fresh.alone:
			tell(fresh.appears(), Change{Definition: name, Text: fresh.title() + " (new)"})
		case fresh == nil && old.alone:
			tell(old.appears().back(), Change{Definition: name, Text: old.title() + " (gone)"})
		case old != nil && fresh != nil && (old.inUse() && fresh.inUse()):
			fresh.compare(old, tell)
		}
	}
}

func (d *definition) inUse() bool { return d.used || d.alone || len(d.users) > 0 }

// title names a definition behind those who use it.
func (d *definition) title() string {
	users := listed(slices.Sorted(maps.Keys(d.users)), "others")
	words := make([]string, len(users))
	for i, u := range users {
		words[i] = u.text
	}
	return strings.TrimPrefix(series(words)+": ", ": ") + d.name
}

// appears says what it is that a definition comes.
func (d *definition) appears() how {
	switch {
	case d.opens && !d.forbids:
		return gained
	case d.forbids && !d.opens:
		return lost
	}
	return other
}

// compare tells of each field that says something else.
func (d *definition) compare(was *definition, tell func(how, Change)) {
	for i := range max(len(d.fields), len(was.fields)) {
		f, old := d.field(i), was.field(i)
		if slices.Equal(f.values, old.values) {
			continue
		}
		sense := f.direction(&old)
		if (d.forbids || was.forbids) && !d.alone {
			sense = -sense
			if d.opens || was.opens {
				sense = 0
			}
		}
		text := fmt.Sprintf("%s %s", d.title(), fmt.Sprintf(cmp.Or(f.say, old.say), f.instead(&old)))
		tell(map[int]how{1: wider, 0: other, -1: narrower}[sense], Change{Definition: d.name, Text: text})
	}
}

func (d *definition) field(i int) field {
	if i < len(d.fields) {
		return d.fields[i]
	}
	return field{}
}

// direction tells whether a field opens more (1) or less (-1) than it did.
func (f *field) direction(was *field) int {
	if f.number {
		return f.sense * cmp.Compare(f.rank, was.rank)
	}
	if f.times != nil && was.times != nil {
		return f.sense * (within(was.times, f.times) - within(f.times, was.times))
	}
	more := !slices.ContainsFunc(was.values, func(v string) bool { return !slices.Contains(f.values, v) })
	fewer := !slices.ContainsFunc(f.values, func(v string) bool { return !slices.Contains(was.values, v) })
	switch {
	case more && !fewer:
		return f.sense
	case fewer && !more:
		return -f.sense
	}
	return 0
}

// within is 1 if all of some windows are inside others, or else 0.
func within(all, others []window) int {
	for _, w := range all {
		if !slices.ContainsFunc(others, func(o window) bool { return encloses(o, w) }) {
			return 0
		}
	}
	return 1
}

// instead gives "2 instead of 1".
func (f *field) instead(was *field) string {
	text := func(f *field) string { return cmp.Or(series(f.values), "nothing") }
	return text(f) + " instead of " + text(was)
}
