package compile

import (
	"net/netip"

	"go4.org/netipx"

	"github.com/cordonmesh/cordon/acl/policy"
)

// spans gives the prefixes that a selector stands for whoever owns them; none
// for one that picks nodes.
func spans(s policy.Selector, pol *policy.Policy) []netip.Prefix {
	switch s.Kind {
	case policy.Net:
		return []netip.Prefix{s.Prefix}
	case policy.Set:
		prefixes, _ := pol.IPSet(s.Name)
		return prefixes
	case policy.World:
		return everything()
	case policy.Internet:
		return public()
	}
	return nil
}

// everything is the two default routes.
func everything() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// public is what autogroup:internet means: all of IPv4 but the private ranges
// (RFC 1918), the carriers' (RFC 6598) and the link's (RFC 3927), and the global
// unicast addresses of IPv6 (RFC 4291 section 2.4).
func public() []netip.Prefix {
	all := Less(everything()[0],
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"))
	return append(all, netip.MustParsePrefix("2000::/3"))
}

// Less gives the largest prefixes in a valid p that hold nothing of the holes, in
// order.
func Less(p netip.Prefix, holes ...netip.Prefix) []netip.Prefix {
	var b netipx.IPSetBuilder
	b.AddPrefix(p)
	for _, hole := range holes {
		b.RemovePrefix(hole)
	}
	set, err := b.IPSet()
	if err != nil {
		return nil // of an invalid prefix nothing is left
	}
	return set.Prefixes()
}
