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
	for i, addresses := range each {
		if rapid.Bool().Draw(t, "empty") {
			continue
		}
		s := acl.Seat{Session: fmt.Sprint("session", i), Facts: anyFacts(t)}
		for _, a := range addresses {
			s.Prefixes = append(s.Prefixes, acl.PrefixClass{Prefix: prefix(a), Class: acl.Class(rapid.IntRange(0, 3).Draw(t, "class"))})
		}
		p.Seats = append(p.Seats, s)
	}
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
