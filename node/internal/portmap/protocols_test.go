package portmap_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/portmap"
)

func loopback(host string, port uint16) portmap.Network {
	a := netip.MustParseAddr(host)
	return portmap.Network{Gateway: a, Local: a, Port: port}
}

// TestEachProtocolAlone maps and deletes by real sockets.
func TestEachProtocolAlone(t *testing.T) {
	for _, c := range []struct {
		speaks string
		is     portmap.Protocol
		asked  []string // after the probes
	}{
		{"PCP", portmap.PCP, []string{"PCP map 41641 as 0.0.0.0:41641 for 20m0s", "PCP delete 41641 (0.0.0.0:0)"}},
		{"NAT-PMP", portmap.NATPMP, []string{"NAT-PMP map 41641 as 41641 for 20m0s", "NAT-PMP delete 41641 (0)"}},
		{"UPnP", portmap.UPnP, []string{"UPnP map 41641 as 41641 for 20m0s", "UPnP delete 41641"}},
	} {
		t.Run(c.speaks, func(t *testing.T) {
			r := newRouter(c.speaks)
			home := loopback("127.0.0.1", 41641)
			prepare := r.onLoopback(t, "127.0.0.1")
			n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(home) })
			s := n.until(t, mapped)
			if s.Protocol != c.is || s.External != netip.MustParseAddrPort("203.0.113.7:41641") || s.DoubleNAT || s.Why != "" || s.Until.IsZero() {
				t.Errorf("the status is %+v", s)
			}
			if n.Status() != s {
				t.Errorf("told %+v, and Status gives %+v", s, n.Status())
			}
			inside := netip.AddrPortFrom(home.Local, home.Port)
			if r.mapped(inside) != 41641 {
				t.Error("the gateway has no such mapping")
			}
			n.stop()
			if r.mapped(inside) != 0 {
				t.Error("the mapping outlived a clean stop")
			}
			asked := slices.DeleteFunc(r.requests(), func(s string) bool {
				return s == "PCP announce" || s == "NAT-PMP address" || s == "UPnP address"
			})
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
			if s := n.Status(); s.Protocol != portmap.None || s.Why != "stopped" {
				t.Errorf("after the stop, the status is %+v", s)
			}
		})
	}
}

// TestFirewallOfIPv6 opens a pinhole: the address outside is our own.
func TestFirewallOfIPv6(t *testing.T) {
	r := newRouter("PCP")
	r.external = netip.MustParseAddr("2001:db8::5")
	prepare := r.onLoopback(t, "::1")
	n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(loopback("::1", 41641)) })
	if s := n.until(t, mapped); s.Protocol != portmap.PCP || s.External != netip.MustParseAddrPort("[2001:db8::5]:41641") || s.DoubleNAT {
		t.Errorf("the status is %+v", s)
	}
	n.stop()
	if asked, want := r.requests(), []string{"PCP announce", "PCP map 41641 as :::41641 for 20m0s", "PCP delete 41641 (:::0)"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// TestOlderAndNewerConnectionsOfUPnP: ADSL routers have WANPPPConnection, newer
// ones WANIPConnection:2.
func TestOlderAndNewerConnectionsOfUPnP(t *testing.T) {
	for _, service := range []string{"WANPPPConnection:1", "WANIPConnection:2"} {
		t.Run(service, func(t *testing.T) {
			r := newRouter("UPnP")
			r.web.service = service
			prepare := r.onLoopback(t, "127.0.0.1")
			n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(loopback("127.0.0.1", 7)) })
			if s := n.until(t, mapped); s.Protocol != portmap.UPnP {
				t.Errorf("the status is %+v", s)
			}
		})
	}
}

// TestExternalPortOfSomebodyElse takes another one. UPnP has a word of its own
// for a port that the router itself has.
func TestExternalPortOfSomebodyElse(t *testing.T) {
	for _, c := range []struct {
		protocol string
		conflict int
	}{{"PCP", 0}, {"NAT-PMP", 0}, {"UPnP", 718}, {"UPnP", 729}} {
		t.Run(fmt.Sprint(c.protocol, " ", c.conflict), func(t *testing.T) {
			r := newRouter(c.protocol)
			r.taken, r.conflict = []uint16{41641}, c.conflict
			prepare := r.onLoopback(t, "127.0.0.1")
			n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(loopback("127.0.0.1", 41641)) })
			s := n.until(t, mapped)
			inside := netip.MustParseAddrPort("127.0.0.1:41641")
			if p := s.External.Port(); p == 41641 || p == 0 || p != r.mapped(inside) {
				t.Errorf("told port %d, the gateway has %d", p, r.mapped(inside))
			}
			n.stop()
			if r.mapped(inside) != 0 {
				t.Error("the mapping outlived a clean stop")
			}
		})
	}
}

// TestGatewayOfPermanentMappings: some UPnP gateways know nothing else.
func TestGatewayOfPermanentMappings(t *testing.T) {
	r := newRouter("UPnP")
	r.web.permanent = true
	prepare := r.onLoopback(t, "127.0.0.1")
	n := run(t, func(c *portmap.Client) { prepare(c); c.SetNetwork(loopback("127.0.0.1", 41641)) })
	n.until(t, mapped)
	inside := netip.MustParseAddrPort("127.0.0.1:41641")
	if r.mapped(inside) != 41641 {
		t.Error("the gateway has no mapping")
	}
	n.stop()
	if r.mapped(inside) != 0 {
		t.Error("a permanent mapping outlived a clean stop")
	}
}
