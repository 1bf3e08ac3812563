package osnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Metrics: of two routes for one prefix the kernel takes the lower. The guard's
// is far behind, so that it speaks only when the TUN's route is gone.
const (
	tunnelMetric = 50
	directMetric = 20
	guardMetric  = 1 << 30
)

// entry is what we tell routes apart by.
type entry struct {
	prefix netip.Prefix
	kind   int // RTN_UNICAST, RTN_UNREACHABLE or RTN_THROW
	metric int
	link   int // the TUN's index, or 0
}

// wanted lists the table's content, guards first: a prefix must be refusable
// before it is routed, so that no moment lies between.
func (n *Network) wanted(link netlink.Link) []entry {
	var list []entry
	for _, ps := range [][]netip.Prefix{n.want.Guards, n.want.Routes} {
		for _, p := range ps {
			list = appendNew(list, entry{prefix: p, kind: unix.RTN_UNREACHABLE, metric: guardMetric})
		}
	}
	for _, p := range n.want.Direct {
		list = append(list, entry{prefix: p, kind: unix.RTN_THROW, metric: directMetric})
	}
	if link != nil {
		for _, p := range n.want.Routes {
			list = append(list, entry{prefix: p, kind: unix.RTN_UNICAST, metric: tunnelMetric, link: link.Attrs().Index})
		}
	}
	served := list[:0]
	for _, e := range list {
		if n.serves(e.prefix.Addr().Is4()) {
			served = append(served, e)
		}
	}
	return served
}

// sources are the addresses that our routes name. A machine that has seats must not
// leave the choice to the kernel, which would take somebody's.
func (n *Network) sources() []netip.Addr {
	if !n.want.Shared {
		return nil
	}
	return n.want.Addresses
}

func (n *Network) setRoutes(link netlink.Link) error {
	return n.setTable(int(n.cfg.Table), n.wanted(link), n.sources())
}

// setTable makes a table exactly what is wanted: first what is missing, then away
// with what is too much. Routes into the TUN name the source of their family, if there
// is one.
func (n *Network) setTable(table int, want []entry, sources []netip.Addr) error {
	have, err := n.routes(table)
	if err != nil {
		return err
	}
	var errs []error
	var fresh []netip.Prefix
	keep := make(map[entry]bool)
	for _, e := range want {
		keep[e] = true
		if stands(have, e, sources) {
			continue
		}
		if err := n.nl.RouteReplace(route(table, e, sources)); err != nil {
			errs = append(errs, fmt.Errorf("osnet: route %s: %w", e.prefix, err))
		} else if e.kind == unix.RTN_UNREACHABLE && e.prefix.Addr().Is6() && !n.guarded(e.prefix) {
			fresh = append(fresh, e.prefix)
		}
	}
	errs = append(errs, n.recall(fresh))
	for e, r := range have {
		if keep[e] {
			continue
		}
		if err := n.nl.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("osnet: remove the route %s: %w", e.prefix, err))
		}
	}
	return errors.Join(errs...)
}

// stands tells whether a route is there, with the source that it should name.
func stands(have map[entry]netlink.Route, e entry, sources []netip.Addr) bool {
	is, there := have[e]
	src, _ := netip.AddrFromSlice(is.Src)
	return there && src.Unmap() == sourceOf(e, sources)
}

func sourceOf(e entry, sources []netip.Addr) netip.Addr {
	if e.kind != unix.RTN_UNICAST {
		return netip.Addr{}
	}
	return source(e.prefix.Addr().Is4(), sources)
}

// lost tells whether a table lacks something.
func (n *Network) lost(table int, want []entry, sources []netip.Addr) (bool, error) {
	have, err := n.routes(table)
	return slices.ContainsFunc(want, func(e entry) bool { return !stands(have, e, sources) }), err
}

// guarded tells whether a prefix is part of a range of the mesh. Then that is
// what sockets are made to look again for, once for all the peers in it.
func (n *Network) guarded(p netip.Prefix) bool {
	return slices.ContainsFunc(n.want.Guards, func(g netip.Prefix) bool { return g.Bits() < p.Bits() && g.Contains(p.Addr()) })
}

// recall makes the machine's IPv6 sockets look again for their way to prefixes
// that our table did not have before. A connected socket keeps the route that it
// found once, such as the default route, until something changes on the way to
// that route in its own table: a route of ours, in another table, goes unnoticed,
// and what the socket sends would go on leaving in clear. So a route is put
// into the main table for a moment, behind all others for the prefix. IPv4
// sockets notice every change of every table.
func (n *Network) recall(fresh []netip.Prefix) error {
	var errs []error
	for _, p := range fresh {
		r := &netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNREACHABLE, Priority: guardMetric, Dst: ipNet(p), Protocol: unix.RTPROT_STATIC}
		err := n.nl.RouteAdd(r)
		if err == nil || errors.Is(err, unix.EEXIST) { // left by a run that was killed in this line
			err = n.nl.RouteDel(r)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("osnet: have sockets look again for their way to %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// routes returns what a table of ours holds, whoever put it there.
func (n *Network) routes(table int) (map[entry]netlink.Route, error) {
	have := make(map[entry]netlink.Route)
	for _, family := range n.families() {
		list, err := n.nl.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("osnet: list the routes of table %d: %w", table, err)
		}
		for _, r := range list {
			e := entry{prefix: prefixOf(r.Dst, family), kind: r.Type, metric: r.Priority}
			if r.Type == unix.RTN_UNICAST { // others may name lo, which says nothing
				e.link = r.LinkIndex
			}
			have[e] = r
		}
	}
	return have, nil
}

func route(table int, e entry, sources []netip.Addr) *netlink.Route {
	r := &netlink.Route{
		Table: table, Type: e.kind, Priority: e.metric,
		Dst: ipNet(e.prefix), Protocol: unix.RTPROT_STATIC, LinkIndex: e.link, Src: sourceOf(e, sources).AsSlice(),
	}
	if e.kind == unix.RTN_UNICAST && e.prefix.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK // there is no next hop: the tunnel is one wire
	}
	return r
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefixOf reads a route's destination; a default route has none, or a zero one.
func prefixOf(dst *net.IPNet, family int) netip.Prefix {
	if dst == nil {
		if family == unix.AF_INET {
			return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	a, _ := netip.AddrFromSlice(dst.IP)
	ones, _ := dst.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones)
}
