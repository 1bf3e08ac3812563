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

// rulesOf gives a profile's rules, compiled at the first call.
//
// The node's side of a rule is narrowed to its own classes; the other holds all
// that exist, so that a rule does not change when a node of a known class comes.
func (m *Mesh) rulesOf(p *profile) acl.RuleSet {
	if p.rules != nil {
		return *p.rules
	}
	var in, out direction
	for _, l := range m.landings(p) {
		m.write(&in, l.part, m.allSources(l.part), m.destinations(l.part, l.nums))
	}
	for _, l := range m.matching(p.classes, func(c *class) []int32 { return c.asSrc }) {
		m.write(&out, l.part, m.sources(l.part, l.nums), m.allDestinations(l.part))
	}
	p.rules = &acl.RuleSet{In: in.rules(), Out: out.rules(), ForbidIn: in.forbids, ForbidOut: out.forbids}
	return *p.rules
}

// direction gathers the rules of one direction.
type direction struct{ permits, monitors, forbids []acl.Rule }

// rules gives what permits, in the order in which it is asked: what is only
// monitored comes last. Beside what is forbidden, all of it asks for a filter
// that obeys.
func (d *direction) rules() []acl.Rule {
	all := append(d.permits, d.monitors...)
	if len(d.forbids) == 0 {
		return all
	}
	for i := range all {
		all[i].Features = set(append(slices.Clip(all[i].Features), acl.FeatureForbid))
	}
	return all
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
	return slices.EqualFunc(a.In, b.In, equalRule) && slices.EqualFunc(a.Out, b.Out, equalRule) &&
		slices.EqualFunc(a.ForbidIn, b.ForbidIn, equalRule) && slices.EqualFunc(a.ForbidOut, b.ForbidOut, equalRule)
}

func equalRule(a, b acl.Rule) bool {
	return a.ID == b.ID && a.SameOwner == b.SameOwner && slices.Equal(a.Src, b.Src) && slices.Equal(a.Dst, b.Dst) &&
		slices.Equal(a.Open, b.Open) && slices.Equal(a.Needs, b.Needs) && a.NotBefore.Equal(b.NotBefore) && a.NotAfter.Equal(b.NotAfter) &&
		a.Hold == b.Hold && a.Drain == b.Drain && a.Monitor == b.Monitor && a.Log == b.Log && a.Limit == b.Limit && slices.Equal(a.Features, b.Features)
}
