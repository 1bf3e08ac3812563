package compile

import (
	"cmp"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

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
		slices.ContainsFunc(mv.set.out.permits, func(r rule) bool { return slices.ContainsFunc(r.own, lost) })
}

func (p *profile) has(num acl.Class) bool {
	_, found := slices.BinarySearchFunc(p.classes, num, func(c *class, num acl.Class) int { return cmp.Compare(c.num, num) })
	return found
}

// begins tells whether any rule lets flows begin from a class.
func (m *Mesh) begins(c *class) bool {
	return slices.ContainsFunc(c.asSrc, func(at int32) bool {
		part := m.book.parts[at]
		return slices.ContainsFunc(part.allDestinations(), func(to *cell) bool {
			return len(to.nums) > 0 && m.bears(part, part.between(c, to.into))
		})
	})
}
