package integration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// building is a network of devices behind a gateway, and a laptop that can be
// plugged in elsewhere (eth0), in the building (eth1), or into a stranger's
// network that has the building's addresses, with a machine at the pump's (eth2).
func building() lab.Topology {
	link := func(network string, n int) lab.Link {
		net := map[string]int{"outside": 77, "inside": 88, "twin": 88}[network]
		return lab.Link{Network: network, Addresses: []string{fmt.Sprintf("10.%d.0.%d/24", net, n)}}
	}
	return lab.Topology{
		Networks: []lab.Network{{Name: "outside"}, {Name: "inside"}, {Name: "twin"}},
		Machines: []lab.Machine{
			{Name: "hub", Links: []lab.Link{link("outside", 1)}},
			{Name: "laptop", Links: []lab.Link{link("outside", 2), link("inside", 9), link("twin", 9)}},
			{Name: "gateway", Links: []lab.Link{link("outside", 3), link("inside", 1)}},
			{Name: "pump", Links: []lab.Link{link("inside", 4)}, Routes: []lab.Route{{To: "100.64.0.0/10", Via: "10.88.0.1"}}},
			{Name: "false-pump", Links: []lab.Link{link("twin", 4)}},
		},
	}
}

// A laptop in the building speaks with the devices there itself: its gateway is
// not asked to carry to the laptop's own network. In a network that only has the
// same addresses, what is meant for the building goes through the tunnel.
func TestLaptopOnSiteNeedsNoGateway_A34(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}, Lab: lab.Up(t, building())}
	laptop := s.Host("laptop")
	plug := func(into string) {
		for _, link := range []string{"eth0", "eth1", "eth2"} {
			if link != into {
				laptop.SetLink(link, false)
			}
		}
		laptop.SetLink(into, true)
	}
	plug("eth0")
	s.found(fmt.Sprintf(annexPolicy, ""), member{name: "laptop", owner: "nina@hospital.example"},
		member{name: "gateway", owner: "tag:gw", args: []string{"--advertise", "10.88.0.0/24"}})
	pump, web := netip.MustParseAddrPort("10.88.0.4:5000"), netip.MustParseAddrPort("10.88.0.4:443")
	s.serve("pump", 5000, 443)
	s.serve("false-pump", 5000, 443)
	s.served("laptop", "udp", pump)

	plug("eth1")
	s.laptopIs(true)
	beside := laptop.Capture("eth1", lab.Touching(netip.PrefixFrom(pump.Addr(), 32)))
	carried := s.Host("gateway").Capture("eth1", lab.Touching(netip.PrefixFrom(pump.Addr(), 32)))
	s.served("laptop", "udp", pump)
	s.served("laptop", "tcp", web)
	if n := carried.Count(); beside.Count() == 0 || n > 0 {
		t.Errorf("on site %d packets went to the pump directly, and the gateway carried %d: want some, and none", beside.Count(), n)
	}

	plug("eth0") // in both networks at once, with the path to the gateway on the other link: it answers there first
	s.laptopIs(false)
	s.served("laptop", "udp", pump)
	laptop.NFT(`table ip late { chain in { type filter hook prerouting priority -300; ip saddr 10.88.0.1 meta l4proto udp drop; }; }`)
	laptop.SetLink("eth1", true)
	time.Sleep(quiet)
	laptop.NFT(`delete table ip late`)
	s.laptopIs(true)
	before := carried.Count()
	s.served("laptop", "udp", pump)
	if n := carried.Count(); n > before {
		t.Errorf("in both networks the gateway carried %d packets", n-before)
	}

	plug("eth0") // home again, and then where only the addresses are the building's
	s.laptopIs(false)
	s.served("laptop", "udp", pump)
	plug("eth2")
	laptop.SetLink("eth0", true)
	stolen := s.Host("false-pump").Capture("eth0", lab.Touching(netip.PrefixFrom(pump.Addr(), 32)))
	before = carried.Count()
	for range 20 {
		s.served("laptop", "udp", pump)
		s.served("laptop", "tcp", web)
	}
	s.laptopIs(false)
	if n := stolen.Count(); n > 0 || carried.Count() == before {
		t.Errorf("a stranger with the building's addresses got %d packets for the pump, the gateway %d: want none, and some", n, carried.Count()-before)
	}
}

// laptopIs waits until the laptop says whether it is on site.
func (s *scene) laptopIs(onSite bool) {
	s.t.Helper()
	lab.Eventually(s.t, patience, fmt.Sprintf("the laptop is on site: %v", onSite), func() (bool, string) {
		st, err := s.nodes["laptop"].Status()
		return err == nil && (len(st.OnSite) > 0) == onSite, fmt.Sprint(st, err)
	})
}
