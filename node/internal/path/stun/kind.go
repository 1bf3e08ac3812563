package stun

import (
	"net/netip"
	"slices"
)

// Kind is how what stands between us and the internet maps our socket, in the
// words of RFC 4787, section 4.1.
type Kind uint8

// The kinds. The zero value says that too little is known.
const (
	Unknown Kind = iota
	// Blocked: no server answered over UDP.
	Blocked
	// NoNAT: servers see the socket's own address.
	NoNAT
	// EndpointIndependent: one mapping for all destinations. Peers that are told
	// of it can use it.
	EndpointIndependent
	// AddressDependent: a mapping for each destination address.
	AddressDependent
	// AddressAndPortDependent: a mapping for each destination address and port
	// ("symmetric").
	AddressAndPortDependent
)

func (k Kind) String() string {
	switch k {
	case Blocked:
		return "UDP is blocked"
	case NoNAT:
		return "no NAT"
	case EndpointIndependent:
		return "endpoint-independent mapping"
	case AddressDependent:
		return "address-dependent mapping"
	case AddressAndPortDependent:
		return "address- and port-dependent mapping"
	}
	return "unknown"
}

// sight is what one server address saw.
type sight struct{ server, mapped netip.AddrPort }

// reach is how far out an address leads; more is further.
type reach uint8

const (
	own      reach = iota // an address of our socket
	inside                // somewhere between us and the internet
	outdoors              // the internet
)

func reachOf(a netip.AddrPort, local []netip.AddrPort) reach {
	switch {
	case slices.Contains(local, a):
		return own
	case global(a.Addr()):
		return outdoors
	}
	return inside
}

// global tells whether a is an address of the internet, as far as its number
// tells.
func global(a netip.Addr) bool {
	carrier := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrier.Contains(a)
}

// outermost leaves the sights that lead furthest out. A server inside the site
// sees us before the NAT; it says nothing about the NAT.
func outermost(local []netip.AddrPort, seen []sight) (out []sight, how reach) {
	for _, s := range seen {
		r := reachOf(s.mapped, local)
		if r > how {
			out, how = out[:0], r
		}
		if r == how {
			out = append(out, s)
		}
	}
	return out, how
}

// judge tells the kind from the answers of one round.
func judge(local []netip.AddrPort, seen []sight) (k Kind, presumed bool) {
	seen, how := outermost(local, seen)
	if len(seen) == 0 {
		return Unknown, false
	}
	internal := !slices.ContainsFunc(seen, func(s sight) bool { return global(s.server.Addr()) })
	if how == own {
		return NoNAT, internal
	}
	k, presumed = compare(seen)
	return k, k != Unknown && (presumed || internal)
}

// compare tells the mapping from what server addresses behind the NAT saw.
func compare(seen []sight) (k Kind, presumed bool) {
	var ports, portsDiffer, addrs, addrsDiffer bool
	for i, a := range seen {
		for _, b := range seen[:i] {
			differ := a.mapped != b.mapped
			if a.server.Addr() == b.server.Addr() {
				ports, portsDiffer = true, portsDiffer || differ
			} else {
				addrs, addrsDiffer = true, addrsDiffer || differ
			}
		}
	}
	switch {
	case portsDiffer:
		return AddressAndPortDependent, false
	case addrsDiffer && ports:
		return AddressDependent, false
	case addrsDiffer:
		return AddressAndPortDependent, true // the commoner of the two, and the worse
	case addrs:
		return EndpointIndependent, false
	case ports:
		return EndpointIndependent, true // address-dependent ones are rare
	}
	return Unknown, false
}
