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
	p.rules = &acl.RuleSet{}
	for _, l := range m.landings(p) {
		p.rules.In = l.part.appendRules(p.rules.In, slices.Clip(l.part.srcClasses.nums), slices.Clip(l.nums))
	}
	for _, l := range m.matching(p, func(c *class) []int32 { return c.asSrc }) {
		p.rules.Out = l.part.appendRules(p.rules.Out, l.nums, slices.Clip(l.part.dstClasses.nums))
	}
	return *p.rules
}

// appendRules adds the rules that a part makes between two sets of classes: one
// for each set of facts that is enough, and none if it opens nothing.
func (p *part) appendRules(rules []acl.Rule, src, dst []acl.Class) []acl.Rule {
	if len(src) == 0 || len(dst) == 0 || len(p.open) == 0 {
		return rules
	}
	rule := acl.Rule{ID: p.rule.ID, Src: src, Dst: dst, SameOwner: p.self, Open: p.open}
	if p.needs == nil {
		return append(rules, rule)
	}
	for _, facts := range p.needs {
		rule.Needs = facts
		rules = append(rules, rule)
	}
	return rules
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
	return slices.EqualFunc(a.In, b.In, equalRule) && slices.EqualFunc(a.Out, b.Out, equalRule)
}

func equalRule(a, b acl.Rule) bool {
	return a.ID == b.ID && a.SameOwner == b.SameOwner && slices.Equal(a.Src, b.Src) && slices.Equal(a.Dst, b.Dst) &&
		slices.Equal(a.Open, b.Open) && slices.Equal(a.Needs, b.Needs)
}
