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
func (m *Mesh) rulesOf(p *profile) acl.RuleSet {
	if p.rules == nil {
		p.rules = &acl.RuleSet{
			In:  m.compileSide(p, func(c *class) []int32 { return c.asDst }, inRule),
			Out: m.compileSide(p, func(c *class) []int32 { return c.asSrc }, outRule),
		}
	}
	return *p.rules
}

// hit is a part that one of a profile's classes matches.
type hit struct {
	part int32
	num  acl.Class
}

// compileSide gives the rules of one direction in the policy's order. The
// node's side of a rule is narrowed to its own classes; the other holds all
// that exist, so that a rule does not change when a node of a known class comes.
func (m *Mesh) compileSide(p *profile, parts func(*class) []int32, rule func(*part, []acl.Class) acl.Rule) []acl.Rule {
	var hits []hit
	for _, c := range p.classes {
		for _, at := range parts(c) {
			hits = append(hits, hit{at, c.num})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.num, b.num)) })
	nums := make([]acl.Class, len(hits))
	for i := range hits {
		nums[i] = hits[i].num
	}
	var rules []acl.Rule
	for i := 0; i < len(hits); {
		j := i
		for j < len(hits) && hits[j].part == hits[i].part {
			j++
		}
		if r := rule(m.book.parts[hits[i].part], nums[i:j:j]); len(r.Src) > 0 && len(r.Dst) > 0 {
			rules = append(rules, r)
		}
		i = j
	}
	return rules
}

func inRule(p *part, own []acl.Class) acl.Rule {
	return acl.Rule{ID: p.rule.ID, Src: slices.Clip(p.srcClasses.nums), Dst: own, SameOwner: p.self, Open: p.open}
}

func outRule(p *part, own []acl.Class) acl.Rule {
	return acl.Rule{ID: p.rule.ID, Src: own, Dst: slices.Clip(p.dstClasses.nums), SameOwner: p.self, Open: p.open}
}

// equalRules tells whether two rule sets are the same to a filter.
func equalRules(a, b acl.RuleSet) bool {
	return slices.EqualFunc(a.In, b.In, equalRule) && slices.EqualFunc(a.Out, b.Out, equalRule)
}

func equalRule(a, b acl.Rule) bool {
	return a.ID == b.ID && a.SameOwner == b.SameOwner && slices.Equal(a.Src, b.Src) && slices.Equal(a.Dst, b.Dst) && slices.Equal(a.Open, b.Open)
}
