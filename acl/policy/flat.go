package policy

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// warnOfFlatRules warns of rules that make the mesh as flat as what it replaces: such a
// rule is valid, and often the first one, or an editor's last resort.
func (r *ruleReader) warnOfFlatRules(p *Policy) {
	for i := range p.rules {
		if rule := &p.rules[i]; rule.flat() {
			r.warnAt(rule.Pos, rule.shown(), "opens everything to every machine: whoever has one reaches all; name who needs what")
		}
	}
}

// flat tells whether a rule opens all of the mesh to all of it, and asks for nothing.
func (r *Rule) flat() bool {
	asks := r.Postures != nil || r.Devices != nil || r.Via != nil || r.Approval != "" || r.Glass != "" || r.When.conditional()
	return !asks && wide(r.Src) && slices.ContainsFunc(r.Parts, func(p Part) bool {
		return wide(p.Dst) && slices.Contains(p.Open, acl.Service{Protocol: acl.TCP, Last: 65535})
	})
}

func wide(side []Selector) bool {
	return slices.ContainsFunc(side, func(s Selector) bool { return s.Kind == Any || s.Kind == World })
}
