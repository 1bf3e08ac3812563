package integration

import (
	"context"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
)

// wing is a hospital's wing behind a gateway: a pump and a printer that know of
// no mesh, and a store room that the gateway sees too.
func wing() lab.Topology {
	top := lab.Segment("hub", "ward", "ehr", "gw")
	top.Networks = append(top.Networks, lab.Network{Name: "wing"}, lab.Network{Name: "store"})
	gw := &top.Machines[3]
	gw.Links = append(gw.Links,
		lab.Link{Network: "wing", Addresses: []string{"10.20.0.1/24", "fd20::1/64"}},
		lab.Link{Network: "store", Addresses: []string{"10.30.0.1/24"}})
	device := func(name, network, four, six, via4, via6 string) lab.Machine {
		m := lab.Machine{Name: name, Links: []lab.Link{{Network: network, Addresses: []string{four}}}, Routes: []lab.Route{{To: "default", Via: via4}}}
		if six != "" {
			m.Links[0].Addresses = append(m.Links[0].Addresses, six)
			m.Routes = append(m.Routes, lab.Route{To: "default", Via: via6})
		}
		return m
	}
	top.Machines = append(top.Machines,
		device("pump", "wing", "10.20.0.9/24", "fd20::9/64", "10.20.0.1", "fd20::1"),
		device("printer", "wing", "10.20.0.10/24", "", "10.20.0.1", ""),
		device("scanner", "store", "10.30.0.9/24", "", "10.30.0.1", ""))
	return top
}

// wingPolicy opens the wing's and the store room's web pages to nina, the pump's
// streams too, and the pump may call nina's machines. More goes into the object.
func wingPolicy(more string) string {
	return `{"tagOwners": {"tag:ehr": ["nina@hospital.example"], "tag:gateway": ["nina@hospital.example"]},
	"hosts": {"pump4": "10.20.0.9", "pump6": "fd20::9"},` + more + `
	"grants": [
		{"src": ["nina@hospital.example"], "dst": ["10.20.0.0/24", "fd20::/64", "10.30.0.0/24"], "ip": ["tcp:80", "udp:80"]},
		{"id": "pump", "src": ["nina@hospital.example"], "dst": ["pump4", "pump6"], "ip": ["tcp:443", "udp:5000"]},
		{"src": ["pump4", "pump6", "10.30.0.0/24"], "dst": ["nina@hospital.example"], "ip": ["tcp:80", "udp:5000"]},
		{"src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"]},
	]}`
}

func raiseWing(t *testing.T) *scene {
	t.Helper()
	s := raiseOn(t, wing(), wingPolicy(""), member{name: "ward", owner: "nina@hospital.example"},
		member{name: "gw", owner: "tag:gateway", args: []string{"--advertise", "10.20.0.0/24", "--advertise", "fd20::/64", "--advertise", "10.30.0.0/24"}},
		// A29: a narrower route to the pump, that nobody approved.
		member{name: "ehr", owner: "tag:ehr", args: []string{"--advertise", "10.20.0.8/29"}})
	if s == nil {
		return nil
	}
	lab.Eventually(t, patience, "every route is advertised", func() (bool, string) {
		out := s.coordinator.Ctl("route", "list")
		return strings.Count(out, "10.20.0.0/24")+strings.Count(out, "fd20::/64")+strings.Count(out, "10.30.0.0/24")+strings.Count(out, "10.20.0.8/29") == 4, out
	})
	return s
}

// approve lets the gateway carry the wing.
func (s *scene) approve() {
	s.t.Helper()
	for _, p := range []string{"10.20.0.0/24", "fd20::/64"} {
		s.coordinator.Ctl("route", "approve", "gw", p)
	}
	s.settle()
}

// unanswered fails the test if a word is answered soon.
func (s *scene) unanswered(from, network string, to netip.AddrPort) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), quiet)
	defer cancel()
	if err := s.exchange(ctx, from, network, to); err == nil {
		s.t.Errorf("%s %s answers %s", network, to, from)
	}
}

func ap(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// Devices behind a gateway are reached, and reach, as the policy says, once
// somebody approved the way to them, and not a moment before.
func TestGatewayCarriesWhatIsApprovedAndPermitted_A27_A29_A30(t *testing.T) {
	s := raiseWing(t)
	if s == nil {
		return
	}
	for _, name := range []string{"pump", "printer", "scanner", "gw", "ward"} {
		s.serve(name, 80)
		s.serve(name, 22)
	}
	noWay := []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.EACCES}
	t.Run("not before it is approved", func(t *testing.T) {
		for _, to := range []string{"10.20.0.9:80", "[fd20::9]:80", "10.30.0.9:80"} {
			s.refused("ward", "tcp", ap(to), noWay...)
		}
	})
	s.approve()
	t.Run("permitted both ways", func(t *testing.T) {
		for _, to := range []string{"10.20.0.9:80", "[fd20::9]:80", "10.20.0.10:80"} {
			s.served("ward", "tcp", ap(to))
			s.served("ward", "udp", ap(to))
		}
		for _, to := range s.at("ward", 80) {
			s.served("pump", "tcp", to)
		}
	})
	t.Run("refused both ways", func(t *testing.T) {
		s.refused("ward", "tcp", ap("10.20.0.9:22"), syscall.ECONNREFUSED)
		s.refused("ward", "tcp", ap("[fd20::9]:22"), syscall.ECONNREFUSED)
		s.refused("ward", "udp", ap("10.20.0.9:22"), noWay...)
		for _, to := range s.at("ward", 22) {
			s.refused("pump", "tcp", to, syscall.ECONNREFUSED)
		}
		s.refused("printer", "tcp", s.at("ward", 80)[0], syscall.ECONNREFUSED)
	})
	t.Run("not what is unapproved", func(t *testing.T) {
		s.refused("ward", "tcp", ap("10.30.0.9:80"), noWay...)
		// What the store room sends is the gateway's to drop: it carries no such source.
		seen := s.Host("ward").Capture(tun, lab.Touching(netip.MustParsePrefix("10.30.0.0/24")))
		s.Host("scanner").Inject("eth0", netip.MustParseAddr("10.30.0.1"),
			lab.UDP(ap("10.30.0.9:4000"), netip.AddrPortFrom(s.nodes["ward"].Mesh4(), 5000), []byte("unapproved")))
		s.served("pump", "tcp", s.at("ward", 80)[0]) // by the same way, later
		if packets, err := seen.Stop(); err != nil || len(packets) > 0 {
			t.Errorf("%d packets came from behind an unapproved route (%v)", len(packets), err)
		}
	})
	t.Run("not the gateway's own services", func(t *testing.T) {
		for _, to := range s.at("gw", 80) {
			s.refused("ward", "tcp", to, noWay...)
			s.refused("ward", "udp", to, noWay...)
		}
		// Ward's rules open the whole wing, and ward cannot know which address in it
		// is the gateway's own: it is the gateway that refuses, and says so.
		for _, to := range []string{"10.20.0.1:80", "[fd20::1]:80"} {
			s.refused("ward", "tcp", ap(to), syscall.ECONNREFUSED)
			s.refused("ward", "udp", ap(to), noWay...)
		}
	})
	t.Run("approved by the policy", func(t *testing.T) {
		s.setPolicy(wingPolicy(`"autoApprovers": {"routes": {"10.30.0.0/24": ["tag:gateway"]}},`))
		s.served("ward", "tcp", ap("10.30.0.9:80"))
		s.refused("ward", "tcp", ap("10.30.0.9:22"), syscall.ECONNREFUSED)
	})
}

// A31 behind a gateway, where one end knows of no mesh.
func TestRevocationEndsFlowsThroughAGateway_A31(t *testing.T) {
	s := raiseWing(t)
	if s == nil {
		return
	}
	s.approve()
	addrs := []netip.Addr{netip.MustParseAddr("10.20.0.9"), netip.MustParseAddr("fd20::9")}
	t.Run("policy edit", func(t *testing.T) {
		f := startStreams(t, s.Host("ward"), s.Host("pump"), addrs...)
		f.ended(t, s.setPolicy(strings.ReplaceAll(wingPolicy(""), `"src": ["nina@hospital.example"]`, `"src": ["otto@hospital.example"]`)))
		f.told(t, true, true)
		s.setPolicy(wingPolicy(""))
	})
	t.Run("route withdrawn", func(t *testing.T) {
		f := startStreams(t, s.Host("ward"), s.Host("pump"), addrs...)
		for _, p := range []string{"10.20.0.0/24", "fd20::/64"} {
			s.coordinator.Ctl("route", "approve", "--withdraw", "gw", p)
		}
		f.ended(t, s.settle())
		s.approve()
	})
	t.Run("gateway removed", func(t *testing.T) {
		f := startStreams(t, s.Host("ward"), s.Host("pump"), addrs...)
		s.coordinator.Ctl("node", "remove", "gw")
		delete(s.nodes, "gw")
		f.ended(t, s.settle())
	})
}

// A28: what stands behind a gateway speaks with an address of its own, or not
// at all.
func TestDevicesBehindAGatewaySpeakInNobodysName_A28(t *testing.T) {
	s := raiseWing(t)
	if s == nil {
		return
	}
	s.approve()
	s.answered("ward", netip.MustParseAddr("10.20.0.9"))
	n := 0
	for i, own := range []netip.Addr{netip.MustParseAddr("10.20.0.9"), netip.MustParseAddr("fd20::9")} {
		to := s.at("ward", 5000)[i]
		next := []netip.Addr{netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr("fd20::1")}[i]
		send := func(packets ...lab.IP) { s.Host("pump").Inject("eth0", next, packets...) }
		names := append(strangers(own), s.at("gw", 0)[i].Addr(), s.at("ehr", 0)[i].Addr(), to.Addr(),
			netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr("10.30.0.9"), netip.MustParseAddr("10.77.0.2"),
			netip.MustParseAddr("fd20::1"), netip.MustParseAddr("fd77::2"))
		t.Run(family(own), func(t *testing.T) {
			for _, src := range names {
				if src == own || src.Is4() != own.Is4() {
					continue
				}
				n++
				spoofed := []lab.IP{lab.UDP(netip.AddrPortFrom(src, 7), to, []byte("spoofed"))}
				end := lab.UDP(netip.AddrPortFrom(own, 4999), to, []byte(sentinelText(n)))
				s.arrivals(t, send, "ward", "from "+src.String(), spoofed, end, n, 0)
			}
		})
	}
}
