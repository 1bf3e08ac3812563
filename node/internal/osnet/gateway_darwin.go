package osnet

import (
	"fmt"
	"net/netip"

	"golang.org/x/net/route"
	"golang.org/x/sys/unix"
)

// defaultRoutes gives what route(4) lists. An interface in use has a default route
// that is scoped to it and serves only sockets bound to it; the one for all the
// others is not scoped.
func defaultRoutes() (list []defaultRoute, err error) {
	table, err := route.FetchRIB(unix.AF_INET, route.RIBTypeRoute, 0)
	if err != nil {
		return nil, fmt.Errorf("osnet: read the routing table: %w", err)
	}
	messages, err := route.ParseRIB(route.RIBTypeRoute, table)
	if err != nil {
		return nil, fmt.Errorf("osnet: parse the routing table: %w", err)
	}
	for _, m := range messages {
		r, ok := m.(*route.RouteMessage)
		if !ok || r.Flags&(unix.RTF_UP|unix.RTF_GATEWAY|unix.RTF_IFSCOPE) != unix.RTF_UP|unix.RTF_GATEWAY || len(r.Addrs) <= unix.RTAX_NETMASK {
			continue
		}
		gateway, ok := r.Addrs[unix.RTAX_GATEWAY].(*route.Inet4Addr)
		if ok && isZero(r.Addrs[unix.RTAX_DST]) && isZero(r.Addrs[unix.RTAX_NETMASK]) {
			list = append(list, defaultRoute{gateway: netip.AddrFrom4(gateway.IP), index: r.Index})
		}
	}
	return list, nil
}

// isZero tells whether an address or a mask is 0.0.0.0; one that is left out is.
func isZero(a route.Addr) bool {
	v4, ok := a.(*route.Inet4Addr)
	return a == nil || ok && v4.IP == [4]byte{}
}
