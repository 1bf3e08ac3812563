package osnet

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// defaultRoute leads to a router whatever no other route is for.
type defaultRoute struct {
	gateway netip.Addr // IPv4
	index   int        // of the interface
	metric  int        // the least is preferred
}

// DefaultGateway gives the router to which this machine sends IPv4 that it has no
// other route for, and the machine's own address towards it. Both are invalid if
// there is none. On Linux the default routes of the main table count; ours are in
// another.
func DefaultGateway() (gateway, local netip.Addr, err error) {
	routes, err := defaultRoutes()
	if err != nil || len(routes) == 0 {
		return gateway, local, err
	}
	best := slices.MinFunc(routes, func(a, b defaultRoute) int { return cmp.Compare(a.metric, b.metric) })
	if local, err = best.local(); err != nil || !local.IsValid() {
		return netip.Addr{}, netip.Addr{}, err
	}
	return best.gateway, local, nil
}

// local gives the address from which the gateway is spoken to: the interface's
// first in the gateway's network, or its first at all, since some networks give
// each machine a network of one address.
func (r defaultRoute) local() (netip.Addr, error) {
	link, err := net.InterfaceByIndex(r.index)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("osnet: find the interface towards the gateway %s: %w", r.gateway, err)
	}
	addrs, err := link.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("osnet: list the addresses of %s: %w", link.Name, err)
	}
	var first netip.Addr
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil {
			continue
		}
		address, _ := netip.AddrFromSlice(n.IP.To4())
		if n.Contains(r.gateway.AsSlice()) {
			return address, nil
		}
		if !first.IsValid() {
			first = address
		}
	}
	return first, nil
}
