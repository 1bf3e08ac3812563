package osnet

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func defaultRoutes() (list []defaultRoute, err error) {
	err = eachMainRoute(unix.AF_INET, func(r netlink.Route) {
		gateway, ok := netip.AddrFromSlice(r.Gw)
		if ok && prefixOf(r.Dst, unix.AF_INET).Bits() == 0 && r.Type == unix.RTN_UNICAST {
			list = append(list, defaultRoute{gateway.Unmap(), r.LinkIndex, r.Priority})
		}
	})
	return list, err
}
