package wire

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// Seat is what a session has of its own at a machine of several people. A packet
// from one of its addresses is that person's, at that machine, and is judged by the
// seat's facts instead of the machine's; the owner is the machine's. A seat opens
// flows and answers in them; no rule leads to it. Slices are sorted and without
// duplicates; nobody may write to them.
type Seat struct {
	Session   string // id
	Addresses []netip.Addr
	Prefixes  []acl.PrefixClass // Addresses, with classes
	Facts     []acl.FactEnd     // of the machine, and of who sits there
}

// Proto gives s as it travels.
func (s Seat) Proto() *SeatRecord {
	return &SeatRecord{Session: s.Session, Addresses: texts(s.Addresses, netip.Addr.Compare),
		Prefixes: prefixesProto(s.Prefixes), Facts: factsProto(s.Facts)}
}

func seatsProto(in []Seat) (out []*SeatRecord) {
	for _, s := range slices.SortedFunc(slices.Values(in), compareSeat) {
		out = append(out, s.Proto())
	}
	return out
}

func compareSeat(a, b Seat) int { return cmp.Compare(a.Session, b.Session) }

// ParseSeat gives the typed form of s. It fails with [ErrMalformed].
func ParseSeat(s *SeatRecord) (Seat, error) {
	var d decoder
	r := Seat{Session: s.GetSession(), Addresses: d.addresses(s.GetAddresses()),
		Prefixes: d.classes(s.GetPrefixes()), Facts: d.facts(s.GetFacts())}
	d.check(isWord(r.Session), "session %q of a seat is not a word", clip(r.Session))
	d.check(len(r.Addresses) > 0, "seat of session %q has no address", clip(r.Session))
	d.within(r.Prefixes, r.Addresses, nil)
	return r, d.of("seat")
}

func (d *decoder) seats(own []netip.Addr, in []*SeatRecord) []Seat {
	seats := decodeList(d, "seats", in, compareSeat, ParseSeat)
	d.apart(own, seats)
	return seats
}

// apart refuses an address that two seats have, or that the record has itself: a
// packet from it would be two people's.
func (d *decoder) apart(own []netip.Addr, seats []Seat) {
	d.check(len(seats) <= maxPrefixes, "%d seats at one node, at most %d", len(seats), maxPrefixes)
	taken := make(map[netip.Addr]bool, len(own)+len(seats))
	for _, a := range own {
		taken[a] = true
	}
	for _, s := range seats {
		for _, a := range s.Addresses {
			d.check(!taken[a], "address %s of a seat is another's too", a)
			taken[a] = true
		}
	}
}
