package pathtest

import (
	"net/netip"
	"slices"
	"time"
)

// Dependence is on what of the destination a NAT's mapping or filtering depends
// (RFC 4787 sections 4.1 and 5).
type Dependence uint8

// Dependences, in the words of RFC 4787.
const (
	EndpointIndependent Dependence = iota
	AddressDependent
	AddressAndPortDependent
)

// Behaviour is what RFC 4787 tells NATs apart by.
type Behaviour struct {
	// Name is for people.
	Name               string
	Mapping, Filtering Dependence
	// Preserve keeps the inner port if it can; Random chooses any, else ports
	// follow each other.
	Preserve, Random bool
	// Static is a mapping for ever, in both directions (1:1).
	Static bool
	// Hairpin lets hosts inside reach each other by their outer addresses.
	Hairpin bool
	// Life is how long a mapping lives without a packet from inside; 0: 30 s.
	Life time.Duration
}

// FullCone maps endpoint-independently and lets in anybody.
func FullCone() Behaviour { return Behaviour{Name: "full cone"} }

// HomeRouter is what most homes have: it maps endpoint-independently and lets in only
// who was sent to.
func HomeRouter() Behaviour {
	return Behaviour{Name: "home router", Filtering: AddressAndPortDependent}
}

// Symmetric is what hospital firewalls and mobile networks do: it maps per destination
// and lets in only that destination.
func Symmetric() Behaviour {
	return Behaviour{Name: "symmetric", Mapping: AddressAndPortDependent, Filtering: AddressAndPortDependent, Random: true}
}

// Usual gives these three.
func Usual() []Behaviour { return []Behaviour{FullCone(), HomeRouter(), Symmetric()} }

// outlet is where the outside of a NAT is.
type outlet struct {
	place string
	addr  netip.Addr
}

// NAT joins a local network to the one outside behind one address.
type NAT struct {
	Behaviour
	net     *Internet
	public  netip.Addr
	lan     string
	outside string // "": the internet
	outer   *NAT   // the way on from outside; nil: it is the internet
	port    uint16
	maps    []*mapping
}

type mapping struct {
	inner netip.AddrPort
	dst   netip.AddrPort // as far as the mapping depends on it
	port  uint16
	used  time.Time
	sent  map[netip.AddrPort]bool
}

// NAT adds one between a local network and the internet.
func (n *Internet) NAT(lan, public string, b Behaviour) *NAT { return n.NATBehind(nil, lan, public, b) }

// NATBehind adds one whose outside is the inside of another (a home behind a
// carrier); nil: the internet.
func (n *Internet) NATBehind(outer *NAT, lan, public string, b Behaviour) *NAT {
	if b.Life == 0 {
		b.Life = 30 * time.Second
	}
	t := &NAT{Behaviour: b, net: n, public: netip.MustParseAddr(public), lan: lan, outer: outer, port: 40000}
	if outer != nil {
		t.outside = outer.lan
	}
	n.nats[outlet{t.outside, t.public}] = t
	return t
}

// Public is the NAT's outer address.
func (t *NAT) Public() netip.Addr { return t.public }

// Reboot forgets every mapping; new ones get new ports.
func (t *NAT) Reboot() { t.maps = nil }

// Renumber gives the NAT another outer address, and forgets every mapping.
func (t *NAT) Renumber(public string) {
	delete(t.net.nats, outlet{t.outside, t.public})
	t.public = netip.MustParseAddr(public)
	t.net.nats[outlet{t.outside, t.public}] = t
	t.Reboot()
}

// part is what of a destination a dependence looks at.
func (d Dependence) part(dst netip.AddrPort) netip.AddrPort {
	switch d {
	case EndpointIndependent:
		return netip.AddrPort{}
	case AddressDependent:
		return netip.AddrPortFrom(dst.Addr(), 0)
	}
	return dst
}

// out gives the outer source of a packet from inside.
func (t *NAT) out(now time.Time, inner, dst netip.AddrPort) netip.AddrPort {
	t.maps = slices.DeleteFunc(t.maps, func(m *mapping) bool { return !t.Static && now.Sub(m.used) > t.Life })
	part := t.Mapping.part(dst)
	i := slices.IndexFunc(t.maps, func(m *mapping) bool { return m.inner == inner && m.dst == part })
	if i < 0 {
		i = len(t.maps)
		t.maps = append(t.maps, &mapping{inner: inner, dst: part, port: t.choose(inner, part), sent: map[netip.AddrPort]bool{}})
	}
	m := t.maps[i]
	m.used, m.sent[t.Filtering.part(dst)] = now, true
	return netip.AddrPortFrom(t.public, m.port)
}

// choose finds a port for a new mapping. One that depends on the destination may
// share its port with those to others: what comes in is told apart by its source.
func (t *NAT) choose(inner, part netip.AddrPort) uint16 {
	taken := func(port uint16) bool {
		return slices.ContainsFunc(t.maps, func(m *mapping) bool {
			return m.port == port && (m.dst == part || t.Filtering < t.Mapping || m.inner.Addr() != inner.Addr())
		})
	}
	if (t.Preserve || t.Static) && !taken(inner.Port()) {
		return inner.Port()
	}
	for {
		if t.port += 7; t.Random {
			t.port = uint16(1024 + t.net.rng.IntN(64512))
		}
		if t.port >= 1024 && !taken(t.port) {
			return t.port
		}
	}
}

// in finds where a packet from outside goes, if it may come in.
func (t *NAT) in(now time.Time, src netip.AddrPort, port uint16) (netip.AddrPort, bool) {
	for _, m := range t.maps {
		alive := t.Static || now.Sub(m.used) <= t.Life
		if m.port == port && alive && m.sent[t.Filtering.part(src)] {
			return m.inner, true
		}
	}
	return netip.AddrPort{}, false
}
