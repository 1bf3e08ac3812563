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
	in := m.inwards(n.profile)
	return acl.RuleSet{In: in.permits, ForbidIn: in.forbids}
}

// rulesOf gives a profile's rules, compiled at the first call.
//
// The node's side of a rule is narrowed to its own classes; the other holds all
// that exist, so that a rule does not change when a node of a known class comes.
func (m *Mesh) rulesOf(p *profile) acl.RuleSet {
	in, out := m.inwards(p), m.outwards(p)
	return acl.RuleSet{In: in.permits, Out: out.permits, ForbidIn: in.forbids, ForbidOut: out.forbids}
}

func (m *Mesh) inwards(p *profile) *direction {
	if p.in != nil {
		return p.in
	}
	landings := m.landings(p)
	in := &direction{permits: slices.Grow[[]acl.Rule](nil, len(landings))}
	for _, l := range landings {
		m.write(in, l.part, m.allSources(l.part), m.destinations(l.part, l.nums))
	}
	in.finish()
	p.in = in
	return in
}

func (m *Mesh) outwards(p *profile) *direction {
	if p.out != nil {
		return p.out
	}
	matching := m.matching(p.classes, func(c *class) []int32 { return c.asSrc })
	out := &direction{permits: slices.Grow[[]acl.Rule](nil, len(matching))}
	for _, l := range matching {
		m.write(out, l.part, m.sources(l.part, l.nums), m.allDestinations(l.part))
	}
	out.finish()
	p.out = out
	return out
}

// direction gathers the rules of one direction.
type direction struct{ permits, monitors, forbids []acl.Rule }

// finish puts what permits into the order in which it is asked: what is only
// monitored comes last. Beside what is forbidden, all of it asks for a filter
// that obeys.
func (d *direction) finish() {
	d.permits, d.monitors = append(d.permits, d.monitors...), nil
	if len(d.forbids) == 0 {
		return
	}
	for i := range d.permits {
		d.permits[i].Features = set(append(slices.Clip(d.permits[i].Features), acl.FeatureForbid))
	}
}

// write adds the rules that a part makes between two sides: one for each ground,
// and for each window in which that may hold.
func (m *Mesh) write(to *direction, p *part, src, dst []cell) {
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
				m.writeOne(to, p, &grounds[i], acl.Rule{
					ID: p.rule.ID, Src: slices.Clip(s.nums), Dst: slices.Clip(d.nums), SameOwner: p.self, Open: p.open,
				})
			}
		}
	}
}

func (m *Mesh) writeOne(to *direction, p *part, g *ground, rule acl.Rule) {
	rule.Needs, rule.Log = g.needs, g.log
	rule.Hold, rule.Drain, rule.Monitor, rule.Limit, rule.Features = g.hold, g.drain, g.monitor, g.limit, g.features
	list := &to.permits
	switch {
	case p.forbid:
		list = &to.forbids
	case g.monitor:
		list = &to.monitors
	}
	for _, w := range m.windows(g) {
		rule.NotBefore, rule.NotAfter = w.From, w.Until
		*list = append(*list, rule)
	}
}

// hit is a part that one of a profile's classes matches.
type hit struct {
	part int32
	num  acl.Class
}

func compareHits(a, b hit) int {
	return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.num, b.num))
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
