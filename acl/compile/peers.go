package compile

import (
	"iter"
	"math/bits"
	"slices"
)

// Peers gives the nodes that a node may talk to in either direction, in no
// order. The mesh must not change meanwhile.
func (m *Mesh) Peers(id string) iter.Seq[string] {
	return func(yield func(string) bool) {
		n, ok := m.nodes[id]
		if !ok {
			return
		}
		for _, peer := range m.peersOf(n) {
			if !yield(peer.ID) {
				return
			}
		}
	}
}

// Sees tells whether two nodes are peers: a rule lets one of them reach an
// address or a route of the other. It is the same both ways.
func (m *Mesh) Sees(a, b string) bool {
	x, okX := m.nodes[a]
	y, okY := m.nodes[b]
	return okX && okY && x != y && (m.reaches(x, y) || m.reaches(y, x))
}

// reaches tells whether a rule opens anything of b to a.
func (m *Mesh) reaches(a, b *node) bool {
	sameOwner := a.record.owner != 0 && a.record.owner == b.record.owner
	for _, c := range a.profile.classes {
		for _, d := range b.profile.here {
			for at := range common(c.asSrc, d.asDst) {
				if part := m.book.parts[at]; !part.forbid && (!part.self || sameOwner) && b.profile.lands(part) {
					return true
				}
			}
		}
		if m.reachesInternet(c, b.profile) {
			return true
		}
	}
	return false
}

// reachesInternet tells whether a rule leads from a class through an exit node.
func (m *Mesh) reachesInternet(from *class, exit *profile) bool {
	return exit.exit && slices.ContainsFunc(m.book.outward, func(at int32) bool {
		part := m.book.parts[at]
		return !part.forbid && has(from.asSrc, at) && exit.lands(part)
	})
}

// common yields what two ascending lists share.
func common(a, b []int32) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		both := meeting(a, b)
		for at, ok := both.next(); ok && yield(at); at, ok = both.next() {
		}
	}
}

// shared walks through what two ascending lists share. Where one is far shorter, each
// of its entries is looked up in the other.
type shared struct {
	few, in []int32
	leap    bool
}

func meeting(a, b []int32) shared {
	if len(a) > len(b) {
		a, b = b, a
	}
	return shared{a, b, len(a)*bits.Len(uint(len(b))) < len(b)}
}

func (s *shared) next() (at int32, ok bool) {
	for len(s.few) > 0 && len(s.in) > 0 {
		at = s.few[0]
		switch {
		case s.leap && s.in[0] < at:
			i, _ := slices.BinarySearch(s.in, at)
			s.in = s.in[i:]
		case s.in[0] < at:
			s.in = s.in[1:]
		case s.in[0] > at:
			s.few = s.few[1:]
		default:
			s.few, s.in = s.few[1:], s.in[1:]
			return at, true
		}
	}
	return 0, false
}

// peersOf gives a node's peers.
func (m *Mesh) peersOf(n *node) []*node {
	all := m.audienceOf(n)
	size := len(all.own)
	for _, p := range all.profiles {
		size += len(p.nodes)
	}
	peers := make([]*node, 0, size)
	for _, p := range all.profiles {
		for _, peer := range p.nodes {
			if peer != n {
				peers = append(peers, peer)
			}
		}
	}
	return append(peers, all.own...)
}

// adjacent gives the profiles whose nodes a profile's nodes see whoever owns
// them, itself perhaps among them. It marks them with a round of their own.
func (m *Mesh) adjacent(p *profile) []*profile {
	m.round++
	v := visit{m: m}
	for _, c := range p.classes {
		for _, at := range c.asSrc {
			v.destinations(m.book.parts[at])
		}
	}
	for _, c := range p.here {
		for _, at := range c.asDst {
			part := m.book.parts[at]
			if part.srcClasses.mark != m.round && !part.forbid && !part.self && !part.internet && (part.plain() || p.lands(part)) {
				v.sources(part.srcClasses)
			}
		}
	}
	for _, at := range m.book.outward {
		if part := m.book.parts[at]; !part.forbid && p.lands(part) {
			v.sources(part.srcClasses)
		}
	}
	return v.found
}

// visit gathers profiles, each once in the mesh's round.
type visit struct {
	m     *Mesh
	found []*profile
}

// destinations visits the profiles on which a part lands.
func (v *visit) destinations(part *part) {
	switch {
	case part.self || part.forbid:
	case part.internet:
		for _, n := range v.m.exits {
			if n.profile.lands(part) {
				v.one(n.profile)
			}
		}
	case part.plain():
		v.all(part.dstClasses)
	default:
		for _, c := range part.dstClasses.all {
			for _, q := range c.profiles {
				if q.mark != v.m.round && q.lands(part) {
					v.one(q)
				}
			}
		}
	}
}

// sources visits every profile with one of the classes, if only at a seat.
func (v *visit) sources(list *classList) {
	if list.mark == v.m.round {
		return
	}
	v.all(list)
	for _, c := range list.all {
		for _, q := range c.seated {
			v.one(q)
		}
	}
}

// all visits every profile with one of the classes, but at seats.
func (v *visit) all(list *classList) {
	if list.mark == v.m.round {
		return
	}
	list.mark = v.m.round
	for _, c := range list.all {
		if c.mark == v.m.round {
			continue
		}
		c.mark = v.m.round
		for _, q := range c.profiles {
			v.one(q)
		}
	}
}

func (v *visit) one(p *profile) {
	if p.mark != v.m.round {
		p.mark = v.m.round
		v.found = append(v.found, p)
	}
}
