package compile

import (
	"cmp"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// Rules gives what a node enforces. Nodes with the same classes get the same
// slices. The set of an unknown node permits nothing.
func (m *Mesh) Rules(id string) acl.RuleSet {
	n, ok := m.nodes[id]
	if !ok {
		return acl.RuleSet{}
	}
	return m.rulesOf(n.profile)
}

// Inwards is Rules without those about what the node begins itself.
func (m *Mesh) Inwards(id string) acl.RuleSet {
	n, ok := m.nodes[id]
	if !ok {
		return acl.RuleSet{}
	}
	in := m.direction(n.profile, inward)
	return acl.RuleSet{In: in.permits, ForbidIn: in.forbids}
}

// rulesOf gives a profile's rules, compiled at the first call.
//
// The node's side of a rule is narrowed to its own classes; the other holds all
// that exist, so that a rule does not change when a node of a known class comes.
func (m *Mesh) rulesOf(p *profile) acl.RuleSet {
	in, out := m.direction(p, inward), m.direction(p, outbound)
	return acl.RuleSet{In: in.permits, Out: out.permits, ForbidIn: in.forbids, ForbidOut: out.forbids}
}

// direction is a profile's rules of one way.
type direction struct{ permits, forbids []acl.Rule }

func (m *Mesh) direction(p *profile, w way) *direction {
	if p.rules[w] == nil {
		pad := &m.pad
		pad.permits, pad.monitors, pad.forbids = pad.permits[:0], pad.monitors[:0], pad.forbids[:0]
		switch w {
		case inward:
			for _, l := range m.landings(p) {
				pad.own = m.destinations(pad.own[:0], l.part, l.side)
				m.note(l.part, m.allSources(l.part), pad.own)
			}
		case outbound:
			for _, l := range m.matching(p.classes, func(c *class) []int32 { return c.asSrc }) {
				pad.own = m.sources(pad.own[:0], l.part, l.side)
				m.note(l.part, pad.own, m.allDestinations(l.part))
			}
		}
		p.rules[w] = pad.written()
	}
	return p.rules[w]
}

// pad is where rules are noted before they are written: a rule is large, so each is
// written once, to where it stays. There is one for all profiles, or lists that grow
// would be most of the cost.
type pad struct {
	permits, monitors, forbids []line
	own                        []cell // of the profile's side of a part
	matching                   []landing
}

// line is what a part says on one ground, between classes.
type line struct {
	ground   *ground
	src, dst []acl.Class
}

// note notes what a part says between two sides, on each ground on which it says anything.
func (m *Mesh) note(p *part, src, dst []cell) {
	if len(p.open) == 0 {
		return
	}
	for _, s := range src {
		for _, d := range dst {
			if len(s.nums) == 0 || len(d.nums) == 0 {
				continue
			}
			grounds := m.groundsOf(p, groundKey{s.human, d.into})
			for i := range grounds {
				if g := &grounds[i]; len(m.rulesOn(g, p)) > 0 {
					m.pad.note(p, line{g, slices.Clip(s.nums), slices.Clip(d.nums)})
				}
			}
		}
	}
}

func (w *pad) note(p *part, l line) {
	switch {
	case p.forbid:
		w.forbids = append(w.forbids, l)
	case l.ground.monitor:
		w.monitors = append(w.monitors, l)
	default:
		w.permits = append(w.permits, l)
	}
}

// written gives the rules that were noted. What permits is in the order in which it is
// asked: what is only monitored comes last. Beside what is forbidden, all that permits
// asks for a filter that obeys.
func (w *pad) written() *direction {
	beside := len(w.forbids) > 0
	return &direction{permits: rulesIn(beside, w.permits, w.monitors), forbids: rulesIn(false, w.forbids)}
}

// rulesIn gives the rules of some lines, nil if there are none.
func rulesIn(obeying bool, all ...[]line) []acl.Rule {
	size := 0
	for _, lines := range all {
		for i := range lines {
			size += len(lines[i].ground.told)
		}
	}
	rules := slices.Grow([]acl.Rule(nil), size)
	for _, lines := range all {
		for i := range lines {
			rules = lines[i].write(rules, obeying)
		}
	}
	return rules
}

// write adds the line's rules to others.
func (l *line) write(rules []acl.Rule, obeying bool) []acl.Rule {
	from := len(rules)
	rules = append(rules, l.ground.told...)
	for i := from; i < len(rules); i++ {
		r := &rules[i]
		if r.Src, r.Dst = l.src, l.dst; obeying {
			r.Features = l.ground.obeying()
		}
	}
	return rules
}

// hit is a part that one of a profile's classes matches.
type hit struct {
	part  int32
	class *class
}

func compareHits(a, b hit) int {
	return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.class.num, b.class.num))
}

// othersBegin tells whether rules surely let a node that moved begin flows from a class
// from which they let it begin none before, or the other way round. It spares making the
// rules of a profile of which nobody may ever ask.
func (m *Mesh) othersBegin(mv *move) bool {
	is := mv.node.profile
	if mv.from == is {
		return false
	}
	gained := func(c *class) bool { return !mv.from.has(c.num) && m.begins(c) }
	lost := func(num acl.Class) bool { return !is.has(num) }
	return slices.ContainsFunc(is.classes, gained) ||
		slices.ContainsFunc(mv.rules.Out, func(r acl.Rule) bool { return slices.ContainsFunc(r.Src, lost) })
}

func (p *profile) has(num acl.Class) bool {
	_, found := slices.BinarySearchFunc(p.classes, num, func(c *class, num acl.Class) int { return cmp.Compare(c.num, num) })
	return found
}

// begins tells whether any rule lets flows begin from a class.
func (m *Mesh) begins(c *class) bool {
	return slices.ContainsFunc(c.asSrc, func(at int32) bool {
		part := m.book.parts[at]
		return slices.ContainsFunc(m.allDestinations(part), func(to cell) bool {
			return len(to.nums) > 0 && m.bears(part, groundKey{part.human(c), to.into})
		})
	})
}

// equalRules tells whether two rule sets are the same to a filter.
func equalRules(a, b acl.RuleSet) bool {
	return equalLists(a.In, b.In) && equalLists(a.Out, b.Out) && equalLists(a.ForbidIn, b.ForbidIn) && equalLists(a.ForbidOut, b.ForbidOut)
}

// equalLists is quick where both are one list, as they are unless it was made anew.
func equalLists(a, b []acl.Rule) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.EqualFunc(a, b, equalRule))
}

func equalRule(a, b acl.Rule) bool {
	return a.ID == b.ID && a.SameOwner == b.SameOwner && slices.Equal(a.Src, b.Src) && slices.Equal(a.Dst, b.Dst) &&
		slices.Equal(a.Open, b.Open) && slices.Equal(a.Needs, b.Needs) && a.NotBefore.Equal(b.NotBefore) && a.NotAfter.Equal(b.NotAfter) &&
		a.Hold == b.Hold && a.Drain == b.Drain && a.Monitor == b.Monitor && a.Log == b.Log && a.Limit == b.Limit && slices.Equal(a.Features, b.Features)
}
