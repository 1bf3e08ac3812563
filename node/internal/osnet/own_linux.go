package osnet

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Own lists the destinations at which this machine itself takes packets, sorted:
// its addresses, the broadcast addresses of the networks that it is in, and the
// anycast address of each IPv6 network for which it forwards (RFC 4291, section
// 2.6.1). It asks the kernel's own table, so that nothing is missed which the
// kernel would deliver. Left out are multicast, loopback and link-local ones, which
// no packet of the mesh may bear, and those of the interfaces named in skip (our
// TUNs).
func Own(skip []string) ([]netip.Prefix, error) {
	var ours []int
	for _, name := range skip {
		if link, err := netlink.LinkByName(name); err == nil {
			ours = append(ours, link.Attrs().Index)
		}
	}
	var own []netip.Prefix
	add := func(p netip.Prefix, link int) {
		if a := p.Addr(); !slices.Contains(ours, link) && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			own = appendNew(own, p)
		}
	}
	// An IPv6 address comes into the table only a moment after it was given.
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("osnet: list this machine's addresses: %w", err)
	}
	for _, a := range addresses {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			add(netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), a.LinkIndex)
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("osnet: list what this machine takes for itself: %w", err)
		}
		for _, r := range routes {
			if r.Type == unix.RTN_LOCAL || r.Type == unix.RTN_BROADCAST || r.Type == unix.RTN_ANYCAST {
				add(prefixOf(r.Dst, family), r.LinkIndex)
			}
		}
	}
	slices.SortFunc(own, netip.Prefix.Compare)
	return own, nil
}
