package dns

import (
	"net/netip"
	"slices"
	"strings"

	miekg "github.com/miekg/dns"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	ttl      = 60 // seconds that an answer may be kept
	negative = 5  // seconds for which a name may be taken not to exist
)

// Zone is what one map says of names. It never changes.
type Zone struct {
	domain string // with a final dot; empty: the mesh has none
	self   string // this node's label
	own    []netip.Addr
	names  map[string][]netip.Addr // by label
	owners []owner                 // by address
	ranges []netip.Prefix
	serial uint32
}

type owner struct {
	addr  netip.Addr
	label string // labels, of a seat's
}

// ZoneOf makes the zone of a map. It shares the map's addresses.
func ZoneOf(m wire.Map) *Zone {
	z := &Zone{self: m.Self.Name, own: m.Self.Addresses, ranges: m.Self.Ranges, serial: uint32(m.Revision)}
	if m.Self.Domain == "" {
		return z
	}
	z.domain = miekg.Fqdn(m.Self.Domain)
	z.names = make(map[string][]netip.Addr, 1+len(m.Peers))
	z.add(m.Self.Name, m.Self.Addresses, m.Self.Seats)
	for _, p := range m.Peers {
		z.add(p.Name, p.Addresses, p.Seats)
	}
	slices.SortFunc(z.owners, func(a, b owner) int { return a.addr.Compare(b.addr) })
	return z
}

// seatLabel stands before a machine's name in the name of a seat's address. Logs say
// by it that somebody at that machine called, and not who: peers need not know. It is
// not the machine's own name, or whoever sits there would have what some program
// grants to that; and it leads nowhere, as no rule leads to a seat.
const seatLabel = "seat."

func (z *Zone) add(label string, addresses []netip.Addr, seats []wire.Seat) {
	z.names[label] = addresses
	for _, a := range addresses {
		z.owners = append(z.owners, owner{a, label})
	}
	for _, s := range seats {
		for _, a := range s.Addresses {
			z.owners = append(z.owners, owner{a, seatLabel + label})
		}
	}
}

// sameExtent tells whether two zones are answered at the same places for the same
// domains.
func (z *Zone) sameExtent(o *Zone) bool {
	return z.domain == o.domain && slices.Equal(z.own, o.own) && slices.Equal(z.ranges, o.ranges)
}

// apex gives the zone that a name lies in, ours or one of our ranges': nobody
// else is to be asked for what is in it. The name is lower case, with a final dot.
func (z *Zone) apex(name string) (apex string, ok bool) {
	if z.domain == "" {
		return "", false
	}
	if name == z.domain || strings.HasSuffix(name, "."+z.domain) {
		return z.domain, true
	}
	p, _, ok := parseReverse(name)
	if !ok {
		return "", false
	}
	for _, r := range z.ranges {
		if r.Bits() <= p.Bits() && r.Contains(p.Addr()) {
			return reverseName(p.Addr(), whole(r)), true
		}
	}
	return "", false
}

// find gives the records of a name in the zone; exists tells a name without
// records of that type from one that is not there.
func (z *Zone) find(name string, qtype uint16) (found []miekg.RR, exists bool) {
	if name == z.domain {
		if qtype == miekg.TypeSOA {
			found = append(found, z.soa(z.domain))
		}
		return found, true
	}
	if label, ok := strings.CutSuffix(name, "."+z.domain); ok {
		addresses, exists := z.names[label]
		return records(name, qtype, addresses), exists
	}
	return z.reverse(name, qtype)
}

func records(name string, qtype uint16, addresses []netip.Addr) (found []miekg.RR) {
	for _, a := range addresses {
		switch {
		case a.Is4() && (qtype == miekg.TypeA || qtype == miekg.TypeANY):
			found = append(found, &miekg.A{Hdr: header(name, miekg.TypeA, ttl), A: a.AsSlice()})
		case a.Is6() && (qtype == miekg.TypeAAAA || qtype == miekg.TypeANY):
			found = append(found, &miekg.AAAA{Hdr: header(name, miekg.TypeAAAA, ttl), AAAA: a.AsSlice()})
		}
	}
	return found
}

// reverse answers the name of an address. A name above one that exists does too
// (RFC 8020), or whoever asks from the top down would stop there.
func (z *Zone) reverse(name string, qtype uint16) (found []miekg.RR, exists bool) {
	p, below, ok := parseReverse(name)
	if !ok || below {
		return nil, false
	}
	at, _ := slices.BinarySearchFunc(z.owners, p.Addr(), func(o owner, a netip.Addr) int { return o.addr.Compare(a) })
	if apex, in := z.apex(name); in && name == apex {
		if exists = true; qtype == miekg.TypeSOA {
			found = append(found, z.soa(apex))
		}
	}
	if at == len(z.owners) || !p.Contains(z.owners[at].addr) {
		return found, exists
	}
	if p.IsSingleIP() && (qtype == miekg.TypePTR || qtype == miekg.TypeANY) {
		found = append(found, &miekg.PTR{Hdr: header(name, miekg.TypePTR, ttl), Ptr: z.owners[at].label + "." + z.domain})
	}
	return found, true
}

// soa says for how long a name may be taken not to exist (RFC 2308).
func (z *Zone) soa(apex string) miekg.RR {
	return &miekg.SOA{Hdr: header(apex, miekg.TypeSOA, negative), Ns: z.self + "." + z.domain, Mbox: "hostmaster." + z.domain,
		Serial: z.serial, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: negative}
}

func header(name string, rrtype uint16, ttl uint32) miekg.RR_Header {
	return miekg.RR_Header{Name: name, Rrtype: rrtype, Class: miekg.ClassINET, Ttl: ttl}
}

// domains lists what is answered from the zone, as systemd-resolved is told:
// without a final dot.
func (z *Zone) domains() (forward, reverse []string) {
	if z.domain == "" {
		return nil, nil
	}
	for _, r := range z.ranges {
		for _, name := range reverseZones(r) {
			reverse = append(reverse, strings.TrimSuffix(name, "."))
		}
	}
	return []string{strings.TrimSuffix(z.domain, ".")}, reverse
}
