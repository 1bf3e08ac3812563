package compile

import "slices"

// way is one of the two directions of a profile's rules.
type way int

const (
	inward way = iota
	outbound
)

// stain marks the profiles whose rules name a class that comes or goes: those
// at the other side of its parts, where these make any rule. A class that is a source
// stands in what others let in, one that is a destination in what they may begin.
func (t *turn) stain(c *class) {
	for _, at := range c.asSrc {
		switch part := t.m.book.parts[at]; {
		case len(part.open) == 0 || part.internet: // no rule, or one at exit nodes alone
		case part.via != anyWay:
			t.stainLanding(part, c)
		default:
			t.stainDestinations(part, c)
		}
	}
	for _, at := range c.asDst {
		t.stainSources(t.m.book.parts[at], c)
	}
}

// stainLanding marks the profiles on which a part lands.
func (t *turn) stainLanding(part *part, from *class) {
	for _, c := range part.dstClasses.all {
		if !t.m.bears(part, part.between(from, c.zone)) {
			continue
		}
		for _, p := range c.profiles {
			if p.lands(part) {
				t.stainOne(p, inward)
			}
		}
	}
}

func (t *turn) stainDestinations(part *part, from *class) {
	list := part.dstClasses
	if list.stained == t.at {
		return
	}
	whole := true
	for _, cell := range part.allDestinations() {
		if !t.m.bears(part, part.between(from, cell.into)) {
			whole = false
			continue
		}
		t.stainClasses(cell.all, inward)
	}
	if whole {
		list.stained = t.at
	}
}

func (t *turn) stainSources(part *part, to *class) {
	list := part.srcClasses
	if list.stained == t.at || len(part.open) == 0 {
		return
	}
	whole := true
	for _, cell := range part.allSources() {
		if !t.m.bears(part, cell.to(to.zone)) {
			whole = false
			continue
		}
		t.stainClasses(cell.all, outbound)
		t.stainSeats(cell.all)
	}
	if whole {
		list.stained = t.at
	}
}

// stainSeats marks the profiles that have one of the classes at seats alone: from
// there flows begin as well.
func (t *turn) stainSeats(classes []*class) {
	for _, c := range classes {
		for _, p := range c.seated {
			t.stainOne(p, outbound)
		}
	}
}

func (t *turn) stainClasses(classes []*class, w way) {
	for _, c := range classes {
		if c.stained[w] == t.at {
			continue
		}
		c.stained[w] = t.at
		for _, p := range c.profiles {
			t.stainOne(p, w)
		}
	}
}

// stainExits marks the profiles of exit nodes on which parts land that a class
// matches: what is beyond an exit node may be in any class, and its rules name
// classes that it has not.
func (t *turn) stainExits(classes []*class) {
	for _, n := range t.m.exits {
		for _, c := range classes {
			if t.opensBeyond(n.profile, c) {
				t.stainOne(n.profile, inward)
			}
		}
	}
}

func (t *turn) opensBeyond(p *profile, c *class) bool {
	asDst := func(at int32) bool {
		part := t.m.book.parts[at]
		return p.lands(part) && t.bornInto(part, c) && (part.outward() || meets(c.sign, p.landed(part)))
	}
	asSrc := func(at int32) bool {
		part := t.m.book.parts[at]
		return p.lands(part) && t.bornFrom(part, c, p)
	}
	return slices.ContainsFunc(c.asDst, asDst) || slices.ContainsFunc(c.asSrc, asSrc)
}

// bornInto tells whether a part makes any rule into a class.
func (t *turn) bornInto(part *part, to *class) bool {
	return slices.ContainsFunc(part.allSources(), func(cell *cell) bool {
		return len(cell.all) > 0 && t.m.bears(part, cell.to(to.zone))
	})
}

// bornFrom tells whether a part that lands on an exit node makes any rule from a
// class there.
func (t *turn) bornFrom(part *part, from *class, exit *profile) bool {
	opened := func(c *class) bool { return part.outward() || meets(c.sign, exit.landed(part)) }
	return len(part.open) > 0 && slices.ContainsFunc(part.allDestinations(), func(cell *cell) bool {
		return t.m.bears(part, part.between(from, cell.into)) && slices.ContainsFunc(cell.all, opened)
	})
}

func (t *turn) stainOne(p *profile, w way) {
	if p.stale != t.at {
		p.stale = t.at
		t.stale = append(t.stale, p)
	}
	p.rules[w], p.set = nil, nil
	if p.exit { // its own side may be another, too
		p.sheets[w] = nil
	}
}
