package portmap_test

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/node/internal/portmap"
)

// nothing is a page that never comes. A server notices that its client left once
// the request is read.
func nothing() http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body)
		<-q.Context().Done()
	})
}

// TestAnotherPort deletes the mapping of the old one: the gateway is the same.
func TestAnotherPort(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP", "UPnP"} {
		synctest.Test(t, func(t *testing.T) {
			n, r := lives(t, protocol)
			n.until(t, mapped)
			other := home()
			other.Port = 5000
			n.SetNetwork(other)
			if s := n.until(t, mapped); s.External.Port() != 5000 {
				t.Errorf("%s: the status is %+v", protocol, s)
			}
			if r.mapped(inside(home())) != 0 || r.mapped(inside(other)) != 5000 {
				t.Errorf("%s: the old port is mapped to %d, the new to %d", protocol, r.mapped(inside(home())), r.mapped(inside(other)))
			}
		})
	}
}

// TestAnotherNetwork leaves the old gateway's address alone: it is a stranger's
// now. Back at home, the gateway still knows us.
func TestAnotherNetwork(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP", "UPnP"} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			hotel := newRouter("NAT-PMP")
			hotel.external = netip.MustParseAddr("198.51.100.9")
			a.put("10.0.0.1", hotel)
			r := a.put("192.168.1.1", newRouter(protocol))
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			n.until(t, mapped)
			r.requests()
			n.SetNetwork(portmap.Network{Gateway: netip.MustParseAddr("10.0.0.1"), Local: netip.MustParseAddr("10.0.0.77"), Port: 41641})
			synctest.Wait()
			if s := n.Status(); mapped(s) {
				t.Errorf("%s: in another network, still told %+v", protocol, s)
			}
			if s := n.until(t, mapped); s.External != netip.MustParseAddrPort("198.51.100.9:41641") {
				t.Errorf("%s: the status is %+v", protocol, s)
			}
			time.Sleep(time.Minute)
			if asked := slices.DeleteFunc(r.requests(), func(s string) bool { return s == "UPnP address" }); len(asked) != 0 {
				t.Errorf("%s: the old gateway was asked %q", protocol, asked)
			}
			n.SetNetwork(home())
			if s := n.until(t, mapped); s.External != netip.MustParseAddrPort("203.0.113.7:41641") {
				t.Errorf("%s: back at home, the status is %+v", protocol, s)
			}
			if asked := r.requests(); slices.Contains(asked, "PCP map 41641 with a strange nonce") {
				t.Errorf("back at home, it asked %q", asked)
			}
		})
	}
}

// TestAnotherAddressOfOurs: the gateway maps to who asks, so the old address can
// no longer be cleared.
func TestAnotherAddressOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := lives(t, "PCP")
		n.until(t, mapped)
		r.requests()
		other := home()
		other.Local = netip.MustParseAddr("192.168.1.6")
		n.SetNetwork(other)
		n.until(t, mapped)
		for _, line := range r.requests() {
			if strings.Contains(line, "delete") {
				t.Errorf("it asked %q", line)
			}
		}
		if r.mapped(inside(other)) == 0 {
			t.Error("the new address is not mapped")
		}
	})
}

// TestFlappingNetwork costs a gateway one search in a second at most.
func TestFlappingNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := lives(t, "PCP")
		n.until(t, mapped)
		r.requests()
		for i := range 1000 {
			other := home()
			other.Port = uint16(5000 + i%2)
			n.SetNetwork(other)
			time.Sleep(10 * time.Millisecond)
		}
		if asked := len(r.requests()); asked > 40 {
			t.Errorf("1000 changes in ten seconds cost %d requests", asked)
		}
		last := home()
		last.Port = 5001
		for range 1000 {
			n.SetNetwork(last)
			time.Sleep(10 * time.Millisecond)
		}
		if asked := len(r.requests()); asked > 40 {
			t.Errorf("1000 hints in ten seconds cost %d requests", asked)
		}
	})
}

// TestStopAmidARequest deletes what the gateway may have granted meanwhile.
func TestStopAmidARequest(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP"} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter(protocol))
			lost := true
			r.hostile = func(request, answer []byte) [][]byte {
				if request[1] == 1 && lost { // it maps, and the answer is lost
					return nil
				}
				return [][]byte{answer}
			}
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			for r.mapped(inside(home())) == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			r.set(func() { lost = false })
			n.stop()
			if r.mapped(inside(home())) != 0 {
				t.Errorf("%s: the mapping outlived a clean stop", protocol)
			}
		})
	}
}

// TestStopTakesASecondAtMost, whatever the gateway does.
func TestStopTakesASecondAtMost(t *testing.T) {
	for _, protocol := range []string{"PCP", "NAT-PMP", "UPnP"} {
		synctest.Test(t, func(t *testing.T) {
			n, r := lives(t, protocol)
			n.until(t, mapped)
			r.set(func() { r.mute = true; r.web.control = nothing() })
			began := time.Now()
			n.stop()
			if d := time.Since(began); d > time.Second {
				t.Errorf("%s: the stop took %v", protocol, d)
			}
			if s := n.Status(); mapped(s) || !strings.Contains(s.Why, "did not delete") {
				t.Errorf("%s: the status is %+v", protocol, s)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		n, r := lives(t)
		r.set(func() { r.mute = true })
		for _, at := range []time.Duration{time.Second, 40 * time.Second} {
			time.Sleep(at) // amid a search, and between two
			began := time.Now()
			n.stop()
			if d := time.Since(began); d > 0 {
				t.Errorf("the stop took %v", d)
			}
		}
	})
}

func TestDoubleNATIsFlagged(t *testing.T) {
	for external, double := range map[string]bool{
		"203.0.113.7": false, "100.63.255.255": false, "100.128.0.1": false,
		"192.168.100.2": true, "10.1.2.3": true, "172.16.0.9": true, "100.64.0.1": true, "100.127.255.254": true,
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newAir(t)
			r := a.put("192.168.1.1", newRouter("PCP"))
			r.external = netip.MustParseAddr(external)
			n := run(t, func(c *portmap.Client) { a.prepare(c); c.SetNetwork(home()) })
			if s := n.until(t, mapped); s.DoubleNAT != double {
				t.Errorf("%s: the status is %+v", external, s)
			}
		})
	}
}
