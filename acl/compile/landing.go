package compile

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// A part lands on a node when its rule is that node's to enforce: the node has
// something of the destination, and is what the part asks for besides.

// lands tells whether a part lands on the nodes of a profile.
func (p *profile) lands(on *part) bool {
	switch {
	case on.via != anyWay && !slices.Contains(p.ways, on.via):
		return false
	case on.internet || p.exit && on.forbid:
		return p.exit
	case on.via != anyWay:
		return anyMatches(p.routes, on.at) // a router of something else is not asked
	case len(on.app) > 0:
		return anyMatches(p.addrs, on.at) // an application runs on the node itself
	}
	return anyMatches(p.here, on.at)
}

// plain tells whether a part lands wherever a class is that matches it: but for what is
// forbidden, which exit nodes all enforce.
func (p *part) plain() bool { return p.via == anyWay && !p.internet && len(p.app) == 0 }

// outward tells whether a part lands on every exit node that its via permits: it
// leads into the internet, or it forbids. What an exit node leads to nobody has, so
// that what is forbidden there would be open by a rule for all that is beyond it.
func (p *part) outward() bool { return p.internet || p.forbid }

func anyMatches(classes []*class, part int32) bool {
	return slices.ContainsFunc(classes, func(c *class) bool { return has(c.asDst, part) })
}

// has tells whether an ascending list holds a number.
func has(sorted []int32, at int32) bool {
	_, ok := slices.BinarySearch(sorted, at)
	return ok
}

// landing is a part that lands on a profile, with the profile's classes that it
// opens.
type landing struct {
	part *part
	side
}

// landings gives the parts that land on a profile in the policy's order.
func (m *Mesh) landings(p *profile) []landing {
	all := slices.DeleteFunc(m.matching(p.here, func(c *class) []int32 { return c.asDst }), func(l landing) bool {
		return l.part.outward() && p.exit || !l.part.plain() && !p.lands(l.part)
	})
	for i := range all {
		all[i].side = p.opened(all[i].part, all[i].side)
	}
	if !p.exit {
		return all
	}
	for _, at := range m.book.outward {
		if part := m.book.parts[at]; p.lands(part) {
			all = append(all, landing{part, *part.dstClasses.side})
		}
	}
	slices.SortFunc(all, func(a, b landing) int { return int(a.part.at) - int(b.part.at) })
	return all
}

// opened narrows or widens the profile's classes that match a part to those that
// it opens there. What is beyond an exit node may be in any class.
func (p *profile) opened(part *part, matching side) side {
	if !p.exit && part.via == anyWay {
		return matching
	}
	among := p.here
	if p.exit {
		among = part.dstClasses.all
	}
	landed := p.landed(part)
	var opened side
	for _, c := range among {
		if meets(c.sign, landed) {
			opened.add(c)
		}
	}
	return opened
}

// landed gives a part's destinations that land on a profile, each by itself, as
// if it stood alone in its rule.
func (p *profile) landed(part *part) []selector {
	by := p.here
	if part.via != anyWay {
		by = p.routes
	}
	var landed []selector
	for _, c := range by {
		landed = append(landed, slices.Collect(common(c.sign, part.dst))...)
	}
	return sortedSet(landed)
}

// meets tells whether two ascending lists share anything.
func meets(a, b []int32) bool {
	for range common(a, b) {
		return true
	}
	return false
}

// matching gives the parts that classes match on one side, in the policy's order, each
// with those classes. The list is valid until the next call.
func (m *Mesh) matching(classes []*class, parts func(*class) []int32) []landing {
	all := m.pad.matching[:0]
	defer func() { m.pad.matching = all[:0] }()
	if len(classes) == 1 { // as most nodes have
		one := sideOf(classes)
		for _, at := range parts(classes[0]) {
			all = append(all, landing{m.book.parts[at], one})
		}
		return all
	}
	t := m.newTally()
	for _, c := range classes {
		t.count(parts(c))
	}
	matched := side{make([]*class, t.size), make([]acl.Class, t.size)}
	for at := range t.parts() {
		from, to := t.room(at)
		all = append(all, landing{m.book.parts[at], side{matched.all[from:to:to], matched.nums[from:to:to]}})
	}
	for _, c := range classes {
		for _, at := range parts(c) {
			place := t.next(at)
			matched.all[place], matched.nums[place] = c, c.num
		}
	}
	return all
}
