package compile

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// narrower tells whether a node may be good for less by the second record than by
// the first. Where that is not plain it says so: who is told in a hurry needlessly
// loses nothing.
func (m *Mesh) narrower(was, is record) bool {
	if shorter(was.facts, is.facts) || was.owner != 0 && was.owner != is.owner {
		return true
	}
	if unseated(was.seats, is.seats, m.lessens) {
		return true
	}
	if slices.Equal(was.prefixes, is.prefixes) {
		return false
	}
	loses := func(p acl.PrefixClass) bool {
		before := classOf(was.prefixes, p)
		return before != 0 && m.lessens(before, classOf(is.prefixes, p))
	}
	return slices.ContainsFunc(was.prefixes, loses) || slices.ContainsFunc(is.prefixes, loses)
}

// classOf gives the class of a prefix by a record's, sorted as those are: 0 if it
// is in none of them.
func classOf(all []acl.PrefixClass, p acl.PrefixClass) (c acl.Class) {
	i, found := slices.BinarySearchFunc(all, p, func(a, b acl.PrefixClass) int { return comparePrefix(a.Prefix, b.Prefix) })
	if found {
		return all[i].Class
	}
	for _, outer := range all { // the most precise comes last
		if covers(outer.Prefix, p.Prefix) {
			c = outer.Class
		}
	}
	return c
}

// lessens tells whether a class is good for less than another was: it lacks a selector
// of that, is forbidden something besides, or has other floors.
func (m *Mesh) lessens(was, is acl.Class) bool {
	if was == is {
		return false
	}
	old, fresh := m.byNum[was], m.byNum[is]
	if old == nil || fresh == nil || old.zone != fresh.zone || old.human != fresh.human {
		return true
	}
	forbids := func(at int32) bool { return m.book.parts[at].forbid }
	in := func(sign []selector, s selector) bool { return slices.Contains(sign, s) }
	return slices.ContainsFunc(old.sign, func(s selector) bool { return !in(fresh.sign, s) }) ||
		slices.ContainsFunc(fresh.sign, func(s selector) bool {
			return !in(old.sign, s) && (slices.ContainsFunc(m.book.asSrc[s], forbids) || slices.ContainsFunc(m.book.asDst[s], forbids))
		})
}
