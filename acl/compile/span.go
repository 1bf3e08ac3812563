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
	case policy.World:
		return everything()
	case policy.Internet:
		if s.Name != "" {
			return publicOf(s.Name, pol)
		}
		return policy.Public()
	}
	return pol.Prefixes(s)
}

// publicOf gives the public addresses of an ipset.
func publicOf(ipset string, pol *policy.Policy) []netip.Prefix {
	var public, all netipx.IPSetBuilder
	for _, p := range policy.Public() {
		public.AddPrefix(p)
	}
	prefixes, _ := pol.IPSet(ipset)
	for _, p := range prefixes {
		all.AddPrefix(p)
	}
	within, err := public.IPSet()
	if err != nil {
		return nil
	}
	all.Intersect(within)
	set, err := all.IPSet()
	if err != nil {
		return nil // of invalid prefixes, of which there are none
	}
	return set.Prefixes()
}

// everything is the two default routes.
func everything() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
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
