package portmap

import (
	"fmt"
	"net/netip"
)

// check refuses a grant that cannot be true. A gateway, or somebody who plays
// one, must not make us tell our peers to send to a host of its choice that is
// no host, or to ourselves.
func check(g grant, n Network) error {
	a := g.external.Addr()
	if !a.IsValid() || a.Is4() != n.Local.Is4() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() ||
		a.IsLinkLocalUnicast() || reserved(a) || g.external.Port() == 0 {
		return fmt.Errorf("it names %v as the external address, which cannot be one (is its own uplink down?)", g.external)
	}
	if g.life < minLife {
		return fmt.Errorf("it grants the mapping for %v alone", g.life)
	}
	return nil
}

// reserved tells whether a is an IPv4 address that is nobody's: "this network"
// and class E (RFC 1122 section 3.2.1.3, RFC 1112 section 4).
func reserved(a netip.Addr) bool {
	b := a.As16()
	return a.Is4() && (b[12] == 0 || b[12] >= 240)
}

// global tells whether a is an address of the internet, as far as its number
// tells.
func global(a netip.Addr) bool {
	carrier := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrier.Contains(a)
}
