//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Machines of every [Internet] besides those of its sites.
const (
	HubName  = "hub"      // for the coordinator, in the public core
	MarkName = "landmark" // another public address in the core
	ispName  = "isp"      // routes between all uplinks; has neither NAT nor wall
	// CoordinatorName is the hub's name in the lab's /etc/hosts, of both families.
	CoordinatorName = "coordinator.lab"
	// proxyPort is where a router's HTTP proxy is, if its wall wants one, and
	// proxyAccount who may use it: with a password that a URL must escape.
	proxyPort    = 3128
	proxyAccount = "ward:blue door@7"
)

// Internet makes a topology of sites around a public core. Each site has an
// uplink of its own to the core's router. All LANs behind NAT have the same
// addresses, 192.168.1.0/24, and all carriers 100.64.1.0/24, as in life.
func Internet(sites ...Site) Topology {
	net := &internet{isp: Machine{Name: ispName, Forward: true}}
	for _, name := range []string{HubName, MarkName} {
		net.settle(Site{Name: name, Bare: true, IPv6: true})
	}
	for _, s := range sites {
		net.settle(s)
	}
	net.top.Machines = append(net.top.Machines, net.isp)
	net.top.Names = map[string][]netip.Addr{CoordinatorName: {Site{}.uplink4(0, 2).Addr(), uplink6(0, 2).Addr()}}
	return net.top
}

type internet struct {
	top   Topology
	isp   Machine
	count int // sites so far
}

// uplink4 is an address on the uplink of the k-th site: 1 is the core's, 2 the
// site's. It is of RFC 5737, or where a router must believe in it of a range whose
// owner, a ministry of defence, does not announce it.
func (s Site) uplink4(k, host int) netip.Prefix {
	net := [4]byte{203, 0, 113, byte(4*k + host)}
	if s.Maps != NoPortMaps {
		net = [4]byte{25, 0, 0, net[3]}
	}
	return netip.PrefixFrom(netip.AddrFrom4(net), 30)
}

func uplink6(k, host int) netip.Prefix { return address6(k, 0, host) }

// address6 is a host's address in a network of the k-th site; 0 is its uplink.
func address6(k, network, host int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x:%x::%x/64", k, network, host))
}

// route4 is the site's own public network, for those without NAT.
func route4(k, host int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(4*k + host)}), 30)
}

func (n *internet) settle(s Site) {
	k := n.count
	n.count++
	up := "up-" + s.Name
	n.top.Networks = append(n.top.Networks, Network{Name: up})
	n.isp.Links = append(n.isp.Links, s.link(up, s.uplink4(k, 1), uplink6(k, 1)))
	if s.Bare {
		m := Machine{Name: s.Name, Links: []Link{s.link(up, s.uplink4(k, 2), uplink6(k, 2))}}
		m.Routes = s.defaults(s.uplink4(k, 1), uplink6(k, 1))
		n.top.Machines = append(n.top.Machines, m)
		return
	}
	if len(s.NATs) == 0 && !s.NoIPv4 {
		n.isp.Routes = append(n.isp.Routes, Route{To: route4(k, 0).String(), Via: s.uplink4(k, 2).Addr().String()})
	}
	if s.IPv6 {
		n.isp.Routes = append(n.isp.Routes, Route{To: fmt.Sprintf("2001:db8:%x::/48", k), Via: uplink6(k, 2).Addr().String()})
	}
	n.behind(s, k, up)
}

func (s Site) link(network string, four, six netip.Prefix) Link {
	l := Link{Network: network}
	if !s.NoIPv4 {
		l.Addresses = append(l.Addresses, four.String())
	}
	if s.IPv6 {
		l.Addresses = append(l.Addresses, six.String())
	}
	return l
}

func (s Site) defaults(four, six netip.Prefix) []Route {
	var routes []Route
	if !s.NoIPv4 {
		routes = append(routes, Route{To: "default", Via: four.Addr().String()})
	}
	if s.IPv6 {
		routes = append(routes, Route{To: "default", Via: six.Addr().String()})
	}
	return routes
}

// behind builds the site's routers from the internet inwards, and its nodes.
func (n *internet) behind(s Site, k int, up string) {
	outside := socket{up, s.uplink4(k, 2), s.uplink4(k, 1)}
	for depth := len(s.NATs) - 1; depth > 0; depth-- {
		inside := fmt.Sprintf("%s-outer%d", s.Name, depth)
		n.router(s, fmt.Sprintf("%s-r%d", s.Name, depth), depth, k, outside, socket{inside, carrier(depth, 1), carrier(depth, 2)})
		outside = socket{inside, carrier(depth, 2), carrier(depth, 1)}
	}
	names := s.NodeNames()
	homes := 1
	if s.Apart {
		homes = len(names)
	}
	for home := range homes {
		lan, router := s.Name+"-lan", s.Name+"-r"
		if s.Apart {
			lan, router = fmt.Sprintf("%s%d", lan, home+1), fmt.Sprintf("%s%d", router, home+101)
			outside.own = carrier(len(s.NATs)-1, 2+home)
		}
		n.router(s, router, 0, k, outside, socket{lan, s.lan4(k, 1), s.lan4(k, 2)})
		if s.Apart {
			n.node(s, names[home], lan, k, 2)
			continue
		}
		for i, name := range names {
			n.node(s, name, lan, k, 2+i)
		}
	}
}

// socket is where a router is plugged in: its own address and its neighbour's.
type socket struct {
	network       string
	own, opposite netip.Prefix
}

// carrier is an address between routers of one site, of the range that RFC 6598
// keeps for this.
func carrier(depth, host int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, byte(depth), byte(host)}), 24)
}

func (s Site) lan4(k, host int) netip.Prefix {
	if len(s.NATs) == 0 {
		return route4(k, host)
	}
	if s.Shared {
		return carrier(200, host)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 1, byte(host)}), 24)
}

func (n *internet) router(s Site, name string, depth, k int, outside, inside socket) {
	m := Machine{Name: name, Forward: true, Links: []Link{
		s.link(inside.network, inside.own, address6(k, 1, 1)),
		s.link(outside.network, outside.own, uplink6(k, 2)),
	}}
	m.Routes = s.defaults(outside.opposite, uplink6(k, 1))
	if depth < len(s.NATs) {
		nat := s.NATs[depth]
		m.NFT, m.Sysctls = nat.rules(outside.own.Addr(), inside.opposite.Addr()), nat.sysctls()
	}
	if wall := s.Wall; depth == 0 {
		m.NFT += wall.rules() + s.Maps.rules()
	} else {
		m.NFT += Outbound.rules()
	}
	n.top.Networks = append(n.top.Networks, Network{Name: inside.network})
	n.top.Machines = append(n.top.Machines, m)
}

func (n *internet) node(s Site, name, lan string, k, host int) {
	m := Machine{Name: name, Links: []Link{s.link(lan, s.lan4(k, host), address6(k, 1, host))}}
	m.Routes = s.defaults(s.lan4(k, 1), address6(k, 1, 1))
	if s.Wall == ThroughHTTP {
		user, password, _ := strings.Cut(proxyAccount, ":")
		at := netip.AddrPortFrom(s.lan4(k, 1).Addr(), proxyPort)
		m.Env = []string{"HTTPS_PROXY=" + (&url.URL{Scheme: "http", User: url.UserPassword(user, password), Host: at.String()}).String()}
	}
	n.top.Machines = append(n.top.Machines, m)
}
