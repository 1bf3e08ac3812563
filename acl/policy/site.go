package policy

import "net/netip"

// Site is a place with a network of its own, whose IPv4 addresses other places
// may have too. What is written 10.20.30.11@main is one address of the mesh: the
// IPv6 one that [Site.Prefix] gives. A gateway at the site translates.
type Site struct {
	Name string
	ID   uint16         // 1 to 65535, unlike that of every other site
	Nets []netip.Prefix // IPv4
}

// siteRange is where the addresses of sites lie: a prefix of unique local
// addresses (RFC 4193), with the site's number in its bits 80 to 95 and the IPv4
// address in the last 32, as in RFC 6052 section 2.2 for a prefix of 96 bits.
const siteRange = "fd63:6f72:646e:5174:7e00::/80"

// Prefix gives the mesh's prefix for an IPv4 prefix at the site.
func (s Site) Prefix(p netip.Prefix) netip.Prefix {
	a := netip.MustParsePrefix(siteRange).Addr().As16()
	four := p.Addr().As4()
	a[10], a[11] = byte(s.ID>>8), byte(s.ID)
	copy(a[12:], four[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), p.Bits()+96)
}
