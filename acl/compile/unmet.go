package compile

import (
	"cmp"
	"slices"

	"github.com/cordonmesh/cordon/acl/policy"
)

// Unmet gives the rules that no node of this mesh is a source of, or no node, nor what
// is behind one, a destination: of those a comparison over these nodes shows nothing.
// Rules into the internet alone are left out. They are in the file's order.
func (m *Mesh) Unmet() []*policy.Rule {
	from, to := make([]bool, len(m.book.parts)), make([]bool, len(m.book.parts))
	for _, p := range m.profiles {
		if len(p.nodes) == 0 {
			continue
		}
		for _, c := range p.classes {
			for _, at := range c.asSrc {
				from[at] = true
			}
		}
		for _, l := range m.landings(p) {
			to[l.part.at] = true
		}
	}
	met, seen := make(map[*policy.Rule]bool), make(map[*policy.Rule]bool)
	for at, p := range m.book.parts {
		seen[p.rule] = true
		met[p.rule] = met[p.rule] || p.internet || p.words.Internet || from[at] && to[at]
	}
	var all []*policy.Rule
	for r := range seen {
		if !met[r] {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *policy.Rule) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
	})
	return all
}
