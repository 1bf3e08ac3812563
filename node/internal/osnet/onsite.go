package osnet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Attached is a network that this machine is in, with its own address there.
type Attached struct {
	Interface string
	Prefix    netip.Prefix // of the address, which is in Prefix.Addr
}

// Gateway is a peer with what is behind it, and how it and this machine saw each
// other, at each of its addresses that answered.
type Gateway struct {
	Routes []netip.Prefix
	Sights []Sight
}

// Sight is of an authentic probe and its answer.
type Sight struct {
	Endpoint netip.Addr // where the gateway answered
	Mapped   netip.Addr // where it saw us
}

// ListAttached reads the networks of this machine's interfaces that are up, those
// named in skip (our TUNs), loopback and link-local ones aside.
func ListAttached(skip []string) ([]Attached, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("osnet: list this machine's interfaces: %w", err)
	}
	var list []Attached
	for _, i := range ifs {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || slices.Contains(skip, i.Name) {
			continue
		}
		addrs, _ := i.Addrs() // none: it went while we looked
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, _ := netip.AddrFromSlice(n.IP)
			ones, _ := n.Mask.Size()
			if p := netip.PrefixFrom(ip.Unmap(), ones); p.IsValid() && !p.IsSingleIP() && !p.Addr().IsLinkLocalUnicast() {
				list = append(list, Attached{i.Name, p})
			}
		}
	}
	return list, nil
}

// Overlapping tells whether some network of this machine and something behind
// the gateway have addresses in common.
func (g Gateway) Overlapping(attached []Attached) bool {
	return slices.ContainsFunc(attached, func(a Attached) bool {
		return slices.ContainsFunc(g.Routes, a.Prefix.Overlaps)
	})
}

// OnSite gives what of the gateways' routes this machine reaches without them,
// since it is itself in that network: for Want.Direct. The addresses of a network
// prove nothing: any hotspot can give out a hospital's, to have what is meant for
// the hospital sent to it in clear. A gateway's probes do: it answered from this
// link, and saw us come from our own address on it, with no router in between.
// Who can make that so is on the gateway's own network, where the gateway would
// put the same packets. One family proves the link for both. Nothing in ranges,
// which are the mesh's, is ever given.
func OnSite(attached []Attached, gateways []Gateway, ranges []netip.Prefix) []netip.Prefix {
	var direct []netip.Prefix
	for _, g := range gateways {
		for _, a := range attached {
			if !g.proves(a.Interface, attached) {
				continue
			}
			for _, p := range g.shared(a.Prefix.Masked()) {
				if !slices.ContainsFunc(ranges, p.Overlaps) {
					direct = appendNew(direct, p)
				}
			}
		}
	}
	slices.SortFunc(direct, netip.Prefix.Compare)
	return direct
}

// Proved tells whether the gateway is proved to be on every link of this machine
// where it may be: nothing more can come of asking it.
func (g Gateway) Proved(attached []Attached) bool {
	return !slices.ContainsFunc(attached, func(a Attached) bool {
		return slices.ContainsFunc(g.Routes, a.Prefix.Overlaps) && !g.proves(a.Interface, attached)
	})
}

// proves tells whether the gateway is proved to be on a link.
func (g Gateway) proves(link string, attached []Attached) bool {
	return slices.ContainsFunc(attached, func(a Attached) bool {
		return a.Interface == link && slices.ContainsFunc(g.Sights, func(s Sight) bool {
			return a.Prefix.Addr() == s.Mapped && a.Prefix.Contains(s.Endpoint)
		})
	})
}

// shared is what a network has in common with each of the gateway's routes.
func (g Gateway) shared(network netip.Prefix) (list []netip.Prefix) {
	for _, r := range g.Routes {
		if !network.Overlaps(r) {
			continue
		}
		if r.Bits() < network.Bits() {
			r = network
		}
		list = append(list, r)
	}
	return list
}
