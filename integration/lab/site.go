//go:build linux

package lab

import (
	"fmt"
	"slices"
)

// Site is a kind of network that nodes join from, as data.
type Site struct {
	Name string // a host name label; unique among the sites of an internet
	// NATs lead from the nodes to the internet, the nearest first, one router
	// each. None: addresses are public.
	NATs []NAT
	// Bare says that the node has no router at all: no wall, no NAT.
	Bare bool
	Wall Wall
	// NoIPv4 and IPv6 say which families the site has. IPv6 has no NAT, and the
	// wall of the nearest router.
	NoIPv4, IPv6 bool
	// Shared says that the nodes themselves have addresses of 100.64.0.0/10 (RFC
	// 6598), as phones do: their router is the carrier's. It is the mesh's own range
	// too, if nothing else was said to the coordinator.
	Shared bool
	// Maps is how the nearest router, which must be the only one, can be asked to let
	// a port in. Its uplink's addresses are such as no register reserves: there are
	// no ports to give at one that the internet cannot reach.
	Maps PortMaps
	// Nodes is how many there are; 0: one. Apart gives each a nearest router of
	// its own: homes behind one carrier.
	Nodes int
	Apart bool
	// Args are more flags of the nodes' daemons.
	Args []string
}

// NodeNames are the machines of the site's nodes: its name, or with numbers if
// there are several.
func (s Site) NodeNames() []string {
	if s.Nodes <= 1 {
		return []string{s.Name}
	}
	var names []string
	for i := range s.Nodes {
		names = append(names, fmt.Sprintf("%s-%d", s.Name, i+1))
	}
	return names
}

// Named gives the same kind of site by another name.
func (s Site) Named(name string) Site {
	s.Name = name
	return s
}

// Sites gives every kind of network that a clinic's machines join from, with one
// node each.
func Sites() []Site {
	behind := func(name string, nats ...NAT) Site { return Site{Name: name, NATs: nats} }
	walled := func(name string, w Wall) Site { return Site{Name: name, NATs: []NAT{HomeRouter()}, Wall: w} }
	return []Site{
		{Name: "public", Bare: true},
		{Name: "outbound"},
		behind("full-cone", FullCone()),
		behind("restricted", AddressRestricted()),
		behind("home", HomeRouter()),
		behind("port-range", PortRange()),
		behind("symmetric", Symmetric()),
		behind("one-to-one", OneToOne()),
		behind("double", HomeRouter(), HomeRouter()),
		behind("carrier", HomeRouter(), PortRange()),
		behind("symmetric-2", HomeRouter(), Symmetric()),
		behind("short-lived", ShortLived()),
		{Name: "phone", NATs: []NAT{PortRange()}, Shared: true},
		walled("no-udp", UDPBlocked),
		walled("tcp-443", TCP443Only),
		walled("proxy", ThroughHTTP),
		{Name: "ipv6-only", NoIPv4: true, IPv6: true},
		{Name: "dual-stack", NATs: []NAT{Symmetric()}, IPv6: true},
	}
}

// SharedSites are those in which two nodes meet inside of one router: on its
// LAN, and as homes behind a carrier that hairpins or does not.
func SharedSites() []Site {
	return []Site{
		{Name: "one-lan", NATs: []NAT{HomeRouter()}, Nodes: 2},
		{Name: "one-lan-cone", NATs: []NAT{FullCone()}, Nodes: 2},
		{Name: "one-lan-443", NATs: []NAT{HomeRouter()}, Wall: TCP443Only, Nodes: 2},
		{Name: "hairpin", NATs: []NAT{HomeRouter(), FullCone()}, Nodes: 2, Apart: true},
		{Name: "no-hairpin", NATs: []NAT{HomeRouter(), PortRange()}, Nodes: 2, Apart: true},
	}
}

// FindSite gives the site of that name among [Sites] and [SharedSites].
func FindSite(name string) (Site, bool) {
	all := append(Sites(), SharedSites()...)
	i := slices.IndexFunc(all, func(s Site) bool { return s.Name == name })
	if i < 0 {
		return Site{}, false
	}
	return all[i], true
}
