package portmap_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/node/internal/portmap"
)

func home() portmap.Network {
	return portmap.Network{Gateway: netip.MustParseAddr("192.168.1.1"), Local: netip.MustParseAddr("192.168.1.5"), Port: 41641}
}

func inside(n portmap.Network) netip.AddrPort { return netip.AddrPortFrom(n.Local, n.Port) }

// lives starts a client at home with a router, in virtual time.
func lives(t *testing.T, speaks ...string) (*node, *router) {
	a := newAir(t)
	r := a.put("192.168.1.1", newRouter(speaks...))
	n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
	return n, r
}

func TestPreference(t *testing.T) {
	for _, c := range []struct {
		speaks []string
		want   portmap.Protocol
	}{
		{[]string{"UPnP", "NAT-PMP", "PCP"}, portmap.PCP},
		{[]string{"UPnP", "NAT-PMP"}, portmap.NATPMP},
		{[]string{"UPnP", "PCP"}, portmap.PCP},
		{[]string{"UPnP"}, portmap.UPnP},
	} {
		synctest.Test(t, func(t *testing.T) {
			n, r := lives(t, c.speaks...)
			if s := n.until(t, mapped); s.Protocol != c.want {
				t.Errorf("of %v it took %v", c.speaks, s.Protocol)
			}
			n.stop()
			for _, line := range r.requests() {
				if strings.Contains(line, " map ") && !strings.HasPrefix(line, c.want.String()+" ") {
					t.Errorf("of %v it also asked %q", c.speaks, line)
				}
			}
		})
	}
}

// TestBetterProtocolThatAnswersLater is waited for, and not for long.
func TestBetterProtocolThatAnswersLater(t *testing.T) {
	for late, want := range map[time.Duration]portmap.Protocol{100 * time.Millisecond: portmap.PCP, time.Second: portmap.NATPMP} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter("UPnP", "NAT-PMP", "PCP"))
			r.late = func(request []byte) time.Duration { return late * time.Duration(request[0]/2) }
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			began := time.Now()
			if s := n.until(t, mapped); s.Protocol != want {
				t.Errorf("PCP after %v: it took %v", late, s.Protocol)
			}
			if d := time.Since(began); d > 250*time.Millisecond {
				t.Errorf("PCP after %v: that took %v", late, d)
			}
		})
	}
}

// TestRefusalLeadsToTheNext: a protocol that is spoken and refuses does not hide
// one that maps, in whatever order they answer.
func TestRefusalLeadsToTheNext(t *testing.T) {
	for _, protocols := range [][]string{{"PCP", "NAT-PMP", "UPnP"}, {"NAT-PMP", "UPnP"}} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter(protocols...))
			r.result = 2 // UPnP's 502 is none that a client knows
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			s := n.until(t, failed)
			for _, word := range append(protocols, "does not permit", "UPnP error 502") {
				if !strings.Contains(s.Why, word) {
					t.Errorf("why is %q, without %q", s.Why, word)
				}
			}
			r.set(func() { r.result = 0 })
			if s := n.until(t, mapped); s.Protocol.String() != protocols[0] {
				t.Errorf("then it took %v", s.Protocol)
			}
		})
	}
}

func TestRenewalAtHalfLife(t *testing.T) {
	for _, c := range []struct {
		protocol string
		renewal  string
		life     time.Duration
	}{
		{"PCP", "PCP map 41641 as 203.0.113.7:41641 for 20m0s", 20 * time.Minute},
		{"NAT-PMP", "NAT-PMP map 41641 as 41641 for 20m0s", 20 * time.Minute},
		{"UPnP", "UPnP map 41641 as 41641 for 20m0s", 20 * time.Minute},
		{"PCP", "PCP map 41641 as 203.0.113.7:41641 for 20m0s", 2 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter(c.protocol))
			r.life = c.life
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			first := n.until(t, mapped)
			r.requests()
			time.Sleep(c.life/2 - 2*time.Second)
			if asked := r.requests(); len(asked) != 0 {
				t.Errorf("%s: before half of its life, it asked %q", c.protocol, asked)
			}
			time.Sleep(c.life/8 + 4*time.Second)
			if asked := r.requests(); !slices.Contains(asked, c.renewal) {
				t.Errorf("%s: at half of its life, it asked %q", c.protocol, asked)
			}
			if s := n.Status(); s.External != first.External || s.Until.Sub(first.Until) < c.life/2-2*time.Second {
				t.Errorf("%s: from %+v it went to %+v", c.protocol, first, s)
			}
			for range 100 {
				time.Sleep(c.life / 10)
				if r.mapped(inside(home())) != 41641 {
					t.Fatalf("%s: the mapping ended", c.protocol)
				}
			}
			if len(n.told) != 0 {
				t.Errorf("%s: %+v was told, and nothing changed", c.protocol, <-n.told)
			}
		})
	}
}

// TestGatewayThatRestarts forgets the mapping; it comes back with the next
// renewal, and at once if the network says that something happened.
func TestGatewayThatRestarts(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP", "UPnP"} {
		synctest.Test(t, func(t *testing.T) {
			n, r := lives(t, protocol)
			n.until(t, mapped)
			r.restart()
			time.Sleep(portmap.Lifetime*5/8 + time.Second)
			if r.mapped(inside(home())) != 41641 {
				t.Errorf("%s: after a renewal, the mapping is not back", protocol)
			}
			r.restart()
			n.SetNetwork(home())
			time.Sleep(2 * time.Second)
			if r.mapped(inside(home())) != 41641 {
				t.Errorf("%s: after SetNetwork, the mapping is not back", protocol)
			}
			if len(n.told) != 0 {
				t.Errorf("%s: %+v was told, and nothing changed", protocol, <-n.told)
			}
			// It granted since it restarted, so a refusal does not mean that it forgot.
			r.set(func() { r.result = 2 })
			n.SetNetwork(home())
			time.Sleep(20 * time.Second)
			if s := n.Status(); !mapped(s) {
				t.Errorf("%s: refused once, the status is %+v", protocol, s)
			}
		})
	}
}

// TestRestartedGatewayThatRefuses: its clock says that it lost the mapping, so
// nobody is sent to it any longer. One that kept its clock may hold it still.
func TestRestartedGatewayThatRefuses(t *testing.T) {
	const keeps = -1
	for _, protocol := range []string{"PCP", "NAT-PMP"} {
		for _, c := range []struct{ before, after time.Duration }{ // its clock at first, and after five minutes
			{time.Hour, keeps},
			{time.Hour, 0},
			{0, 0},                      // when next heard, it is later than before, and too early
			{time.Hour, 10 * time.Hour}, // another machine took its place
		} {
			synctest.Test(t, func(t *testing.T) {
				a := newAir(t)
				r := a.put("192.168.1.1", newRouter(protocol))
				r.born = time.Now().Add(-c.before)
				n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
				n.until(t, mapped)
				time.Sleep(5 * time.Minute)
				r.set(func() { r.result = 2 })
				if c.after != keeps {
					r.restart()
					r.set(func() { r.born = time.Now().Add(-c.after) })
				}
				time.Sleep(portmap.Lifetime*5/8 - 5*time.Minute + 10*time.Second)
				if s := n.Status(); mapped(s) != (c.after == keeps) {
					t.Errorf("%s, %+v: the status is %+v", protocol, c, s)
				}
				time.Sleep(portmap.Lifetime)
				if s := n.Status(); mapped(s) || !strings.Contains(s.Why, "does not permit") {
					t.Errorf("%s: when its life is over, the status is %+v", protocol, s)
				}
			})
		}
	}
}

// TestMappingThatIsNotRenewed is told until its end, and not longer.
func TestMappingThatIsNotRenewed(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP", "UPnP"} {
		synctest.Test(t, func(t *testing.T) {
			n, r := lives(t, protocol)
			s := n.until(t, mapped)
			r.set(func() { r.mute = true; r.web.describe, r.web.control = nothing(), nothing() })
			time.Sleep(time.Until(s.Until) - 10*time.Second)
			if s := n.Status(); !mapped(s) {
				t.Errorf("%s: before its end, the status is %+v", protocol, s)
			}
			time.Sleep(11 * time.Second)
			if s := n.Status(); mapped(s) || s.Why == "" {
				t.Errorf("%s: after its end, the status is %+v", protocol, s)
			}
			r.set(func() { r.mute = false; r.web.describe, r.web.control = nil, nil })
			n.SetNetwork(home())
			n.until(t, mapped)
		})
	}
}

// TestRenewalThatIsLost is tried again in good time, and nobody notices.
func TestRenewalThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := lives(t, "PCP")
		n.until(t, mapped)
		r.set(func() { r.mute = true })
		time.Sleep(portmap.Lifetime * 11 / 16)
		r.set(func() { r.mute = false })
		time.Sleep(portmap.Lifetime * 3 / 16)
		if r.mapped(inside(home())) == 0 || time.Until(n.Status().Until) < portmap.Lifetime/2 {
			t.Errorf("the status is %+v", n.Status())
		}
		if len(n.told) != 0 {
			t.Errorf("%+v was told, and nothing changed", <-n.told)
		}
	})
}

func TestSilentGatewayIsLeftInPeace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAir(t)
		r := a.put("192.168.1.1", newRouter())
		r.mute = true
		began := time.Now()
		n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
		s := n.until(t, failed)
		const why = "the gateway 192.168.1.1 maps no port (PCP: no answer; NAT-PMP: no answer; UPnP: no answer)"
		if s.Why != why {
			t.Errorf("why is %q", s.Why)
		}
		if d := time.Since(began); d > 4*time.Second {
			t.Errorf("that took %v", d)
		}
		if asked := len(r.requests()); asked > 10 {
			t.Errorf("a search sent %d datagrams", asked)
		}
		for wait := portmap.MinBackoff; ; wait *= 4 {
			wait = min(wait, portmap.MaxBackoff)
			time.Sleep(wait - 4*time.Second)
			if asked := len(r.requests()); asked != 0 {
				t.Errorf("before %v were over, it sent %d datagrams", wait, asked)
			}
			time.Sleep(8 * time.Second)
			if len(r.requests()) == 0 {
				t.Errorf("after %v, it did not ask again", wait)
			}
			if wait == portmap.MaxBackoff {
				break
			}
		}
		n.SetNetwork(home()) // asks at once, and begins to wait anew
		time.Sleep(4 * time.Second)
		if len(r.requests()) == 0 {
			t.Error("after SetNetwork, it did not ask at once")
		}
		time.Sleep(portmap.MinBackoff)
		if len(r.requests()) == 0 {
			t.Errorf("after SetNetwork and %v, it did not ask again", portmap.MinBackoff)
		}
		r.set(func() { r.mute, r.pcp = false, true })
		n.SetNetwork(home())
		n.until(t, mapped)
	})
}

// TestWithoutAGateway asks nobody.
func TestWithoutAGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := lives(t, "PCP")
		n.until(t, mapped)
		r.requests()
		for _, network := range []portmap.Network{
			{},
			{Gateway: home().Gateway, Port: 1},
			{Gateway: home().Gateway, Local: home().Local},
			{Gateway: netip.MustParseAddr("fe80::1"), Local: home().Local, Port: 1},
			{Gateway: netip.MustParseAddr("0.0.0.0"), Local: home().Local, Port: 1},
			{Gateway: netip.MustParseAddr("224.0.0.1"), Local: home().Local, Port: 1},
		} {
			n.SetNetwork(network)
			time.Sleep(time.Minute)
			if s := n.Status(); mapped(s) || s.Why != "this machine has no default gateway to ask" {
				t.Errorf("%+v: the status is %+v", network, s)
			}
		}
		if asked := r.requests(); len(asked) != 0 {
			t.Errorf("it asked %q", asked)
		}
	})
}
