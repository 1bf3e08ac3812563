package filter_test

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"pgregory.net/rapid"
)

// modelPrefixes are all that a party has, by itself or by its seats.
func modelPrefixes(p *filter.Party) []acl.PrefixClass {
	all := slices.Clone(p.Prefixes)
	for _, s := range p.Seats {
		all = append(all, s.Prefixes...)
	}
	return all
}

// seat gives the seat that has an address; nil if none has. Seats have whole addresses.
func (m *model) seat(a netip.Addr) *acl.Seat {
	for _, p := range append([]filter.Party{m.config.Self}, m.config.Peers...) {
		for i := range p.Seats {
			for _, pc := range p.Seats[i].Prefixes {
				if pc.Prefix.Contains(a) {
					return &p.Seats[i]
				}
			}
		}
	}
	return nil
}

// session gives whose flow one of a key would be, if a seat's.
func (m *model) session(k modelKey) (whose string) {
	for _, a := range []netip.Addr{k.own, k.peer} {
		if s := m.seat(a); s != nil {
			whose += s.Session
		}
	}
	return whose
}

// handed tells whether somebody else has an address of a flow now.
func (m *model) handed(fl *modelFlow) bool {
	if m.config == nil {
		return false
	}
	own, _ := m.whose(fl.key.own)
	peer, _ := m.whose(fl.key.peer)
	return own >= -1 && peer >= -1 && m.session(fl.key) != fl.whose
}

// called tells whether a flow would begin to a seat.
func (m *model) called(d filter.Direction, k modelKey) bool {
	if d == filter.Out {
		return m.seat(k.peer) != nil
	}
	return m.seat(k.own) != nil
}

// facts are those of who would begin a flow.
func (m *model) facts(d filter.Direction, k modelKey) []acl.FactEnd {
	from := k.own
	if d == filter.In {
		from = k.peer
	}
	if s := m.seat(from); s != nil {
		return s.Facts
	}
	if d == filter.Out {
		return m.config.Self.Facts
	}
	peer, _ := m.whose(from)
	return m.config.Peers[peer].Facts
}

func anyFacts(t *rapid.T) (all []acl.FactEnd) {
	for _, fact := range []acl.Fact{"login", "mfa"} {
		if rapid.Bool().Draw(t, "has") {
			all = append(all, acl.FactEnd{Fact: fact, Until: noon().Add(minutes(t, "until"))})
		}
	}
	return all
}

// sit gives a party some seats, one of each list of addresses.
func sit(t *rapid.T, p *filter.Party, each ...[]string) {
	for _, addresses := range each {
		if rapid.Bool().Draw(t, "empty") {
			continue
		}
		s := acl.Seat{Session: anySession(t, addresses[0]), Facts: anyFacts(t)}
		for _, a := range addresses {
			s.Prefixes = append(s.Prefixes, acl.PrefixClass{Prefix: prefix(a), Class: acl.Class(rapid.IntRange(0, 3).Draw(t, "class"))})
		}
		p.Seats = append(p.Seats, s)
	}
}

// anySession is one of two that may have an address.
func anySession(t *rapid.T, address string) string {
	return fmt.Sprint(rapid.SampledFrom([]string{"ada", "ben"}).Draw(t, "session"), " at ", address)
}

// handedOn is a later revision of the map in which other people sit at some seats.
func handedOn(t *rapid.T, from *filter.Config) *filter.Config {
	c := *from
	c.Revision++
	c.Self.Seats = othersAt(t, c.Self.Seats)
	c.Peers = slices.Clone(c.Peers)
	for i := range c.Peers {
		c.Peers[i].Seats = othersAt(t, c.Peers[i].Seats)
	}
	return &c
}

func othersAt(t *rapid.T, seats []acl.Seat) []acl.Seat {
	seats = slices.Clone(seats)
	for i := range seats {
		s := &seats[i]
		s.Session = anySession(t, s.Prefixes[0].Prefix.Addr().String())
		if rapid.Bool().Draw(t, "proves") {
			s.Facts = anyFacts(t)
		}
	}
	return seats
}

// unsit has a seat of a party left, or another proof in it.
func unsit(t *rapid.T, p *filter.Party) {
	if len(p.Seats) == 0 {
		return
	}
	p.Seats = slices.Clone(p.Seats)
	i := rapid.IntRange(0, len(p.Seats)-1).Draw(t, "seat")
	if rapid.Bool().Draw(t, "left") {
		p.Seats = slices.Delete(p.Seats, i, i+1)
		return
	}
	p.Seats[i].Facts = anyFacts(t)
}
