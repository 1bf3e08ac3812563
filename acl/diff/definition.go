package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
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
	hours  *policy.Schedule // of a schedule
	sense  int              // 1: more opens more; -1: more opens less; 0: nobody can tell
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

// comparison tells what becomes of what two policies define.
type comparison struct {
	tell  func(how, Change)
	told  map[how]int
	times int // openings of schedules that may yet be compared
}

// compareDefinitions tells what becomes of what two policies define. What is used
// in one of them alone is told by the rules that use it, and what is used in neither
// has no effect. It gives how many steps it took.
func compareDefinitions(was, is definitions, tell func(how, Change)) int {
	c := comparison{tell, make(map[how]int), maxTimes}
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		old, fresh := was[name], is[name]
		switch {
		case old == nil && fresh.alone:
			c.say(fresh.appears(), name, func() string { return fresh.title() + " (new)" })
		case fresh == nil && old.alone:
			c.say(old.appears().back(), name, func() string { return old.title() + " (gone)" })
		case old != nil && fresh != nil && (old.inUse() && fresh.inUse()):
			c.fields(fresh, old)
		}
	}
	for how, n := range c.told {
		if n > maxTold {
			tell(how, Change{Definition: "others", Text: fmt.Sprintf("%d more of the policy's words", n-maxTold)})
		}
	}
	return wordsSteps*len(all) + timeSteps*(maxTimes-max(0, c.times))
}

// say tells of one change, unless too many of its kind were told.
func (c *comparison) say(how how, name string, text func() string) {
	if c.told[how]++; c.told[how] <= maxTold {
		c.tell(how, Change{Definition: name, Text: text()})
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

// fields tells of each field of a definition that says something else.
func (c *comparison) fields(d, was *definition) {
	for i := range max(len(d.fields), len(was.fields)) {
		f, old := d.field(i), was.field(i)
		if slices.Equal(f.values, old.values) {
			continue
		}
		sense := c.direction(&f, &old)
		if (d.forbids || was.forbids) && !d.alone {
			sense = -sense
			if d.opens || was.opens {
				sense = 0
			}
		}
		how := map[int]how{1: wider, 0: other, -1: narrower}[sense]
		c.say(how, d.name, func() string {
			return fmt.Sprintf("%s %s", d.title(), fmt.Sprintf(cmp.Or(f.say, old.say), f.instead(&old)))
		})
	}
}

func (d *definition) field(i int) field {
	if i < len(d.fields) {
		return d.fields[i]
	}
	return field{}
}

// direction tells whether a field opens more (1) or less (-1) than it did.
func (c *comparison) direction(f, was *field) int {
	if f.number {
		return f.sense * cmp.Compare(f.rank, was.rank)
	}
	if f.hours != nil && was.hours != nil {
		return f.sense * c.hours(f.hours, was.hours)
	}
	come, _, gone := versus(f.values, was.values)
	switch {
	case len(come) > 0 && len(gone) == 0:
		return f.sense
	case len(gone) > 0 && len(come) == 0:
		return -f.sense
	}
	return 0
}

// hours tells whether a schedule is open longer (1) or shorter (-1) than another, in the
// course of a year: all that its clock does.
func (c *comparison) hours(is, was *policy.Schedule) int {
	if c.times -= 53 * (is.Weekly.Times() + was.Weekly.Times()); c.times < 0 {
		return 0
	}
	now, before := yearOf(is), yearOf(was)
	return within(before, now) - within(now, before)
}

func yearOf(s *policy.Schedule) []window {
	from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var all []window
	for _, w := range s.Weekly.Windows(from, from.AddDate(1, 0, 0)) {
		all = append(all, window{w.From, w.Until})
	}
	return all
}

// within is 1 if all of some windows are inside others, or else 0. Both are sorted.
func within(all, others []window) int {
	for _, w := range all {
		for len(others) > 0 && others[0].until.Before(w.until) {
			others = others[1:]
		}
		if len(others) == 0 || !encloses(others[0], w) {
			return 0
		}
	}
	return 1
}
