package osnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultGateway gives the router to which this machine sends IPv4 that it has no
// other route for, and the machine's own address towards it. Both are invalid if
// there is none. The default routes of the main table count, the one with the least
// metric; ours are in another table.
func DefaultGateway() (gateway, local netip.Addr, err error) {
	var best netlink.Route
	err = eachMainRoute(unix.AF_INET, func(r netlink.Route) {
		if prefixOf(r.Dst, unix.AF_INET).Bits() == 0 && r.Type == unix.RTN_UNICAST && r.Gw != nil && (best.Gw == nil || r.Priority < best.Priority) {
			best = r
		}
	})
	if err != nil || best.Gw == nil {
		return gateway, local, err
	}
	gateway, _ = netip.AddrFromSlice(best.Gw)
	ways, err := netlink.RouteGetWithOptions(best.Gw, &netlink.RouteGetOptions{OifIndex: best.LinkIndex})
	if err != nil {
		return netip.Addr{}, netip.Addr{}, fmt.Errorf("osnet: ask for the way to the gateway %s: %w", gateway, err)
	}
	for _, w := range ways {
		if a, ok := netip.AddrFromSlice(w.Src); ok {
			return gateway.Unmap(), a.Unmap(), nil
		}
	}
	return netip.Addr{}, netip.Addr{}, nil
}
