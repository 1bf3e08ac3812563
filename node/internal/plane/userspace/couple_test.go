package userspace_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
)

// couple is two planes that may speak on UDP port 53 of each other.
type couple struct {
	t          *testing.T
	net        *planetest.Network
	a, b       keeping
	keyA, keyB key.TunnelPrivate
	cfgA, cfgB plane.Config
	tap        *tap      // on what B sends
	ways       *ways     // A's
	strange    conn.Bind // of somebody else on the underlay
}

func newCouple(t *testing.T) *couple {
	c := &couple{t: t, net: planetest.NewNetwork(), keyA: key.NewTunnel(), keyB: key.NewTunnel(), ways: &ways{open: true}}
	c.a.tun, c.b.tun = planetest.NewTUN(8), planetest.NewTUN(8)
	c.tap = &tap{Bind: c.net.Bind("n-b")}
	c.a.Keeping = keep(t, userspace.Options{TUN: c.a.tun, Bind: c.net.Bind("n-a"), Now: now, Way: c.ways.way})
	time.Sleep(3700 * time.Millisecond)
	c.b.Keeping = keep(t, userspace.Options{TUN: c.b.tun, Bind: c.tap, Now: now})
	c.strange = c.net.Bind("n-x")
	synctest.Wait()
	c.cfgA = config(c.keyA, planetest.A4, peer("n-b", c.keyB.Public(), planetest.B4))
	c.cfgB = config(c.keyB, planetest.B4, peer("n-a", c.keyA.Public(), planetest.A4))
	c.permit(53)
	return c
}

func (c *couple) end() { c.a.Close(); c.b.Close() }

func keep(t *testing.T, o userspace.Options) userspace.Keeping {
	t.Helper()
	p, err := userspace.Keep(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func peer(id string, k key.TunnelPublic, at planetest.Address) plane.Peer {
	return plane.Peer{ID: id, TunnelKey: k, Allowed: []netip.Prefix{at.Host()}, Prefixes: []acl.PrefixClass{{Prefix: at.Host(), Class: 1}}}
}

// permit makes both planes permit these ports, and no other.
func (c *couple) permit(ports ...uint16) {
	c.t.Helper()
	c.cfgA.Rules, c.cfgB.Rules = openUDP(ports...), openUDP(ports...)
	c.configure(c.a, &c.cfgA)
	c.configure(c.b, &c.cfgB)
}

// openUDP opens ports to everybody, and no other.
func openUDP(ports ...uint16) acl.RuleSet {
	var open []acl.Service
	for _, p := range ports {
		open = append(open, acl.Service{Protocol: acl.UDP, First: p, Last: p})
	}
	rules := []acl.Rule{{ID: "r", Src: []acl.Class{1}, Dst: []acl.Class{1}, Open: open}}
	return acl.RuleSet{In: rules, Out: rules}
}

func (c *couple) configure(p keeping, cfg *plane.Config) {
	c.t.Helper()
	cfg.Revision++
	if err := p.Configure(c.t.Context(), *cfg); err != nil {
		c.t.Fatal(err)
	}
}

func there(from uint16) []byte { return planetest.UDP(planetest.A4, planetest.B4, from, 53) }

func back(from uint16) []byte { return planetest.UDP(planetest.B4, planetest.A4, from, 53) }

// arrive asks that a machine was given just these packets, in this order.
func (c *couple) arrive(what string, at keeping, want ...[]byte) {
	c.t.Helper()
	synctest.Wait()
	if got := at.tun.Drain(); fmt.Sprintf("%x", got) != fmt.Sprintf("%x", want) {
		c.t.Errorf("%s: the machine was given\n%x, want\n%x", what, got, want)
	}
}

func (c *couple) tunnels(what string, p keeping, want int) {
	c.t.Helper()
	synctest.Wait()
	s, err := p.Stats()
	if err != nil {
		c.t.Fatal(err)
	}
	if s.Tunnels != want {
		c.t.Errorf("%s: %d peers are in wireguard-go, want %d", what, s.Tunnels, want)
	}
}

// until passes time, second by second, until the two planes have so many peers in
// wireguard-go.
func (c *couple) until(inA, inB int) {
	c.t.Helper()
	for range 300 {
		a, errA := c.a.Stats()
		b, errB := c.b.Stats()
		if errA != nil || errB != nil {
			c.t.Fatal(errA, errB)
		}
		if a.Tunnels == inA && b.Tunnels == inB {
			return
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
	c.t.Fatalf("never %d peers in A and %d in B", inA, inB)
}

// tap keeps the initiations that a host sends.
type tap struct {
	conn.Bind
	mu   sync.Mutex
	sent [][]byte
}

func (p *tap) Send(bufs [][]byte, to conn.Endpoint) error {
	p.mu.Lock()
	for _, b := range bufs {
		if len(b) == device.MessageInitiationSize && b[0] == device.MessageInitiationType {
			p.sent = append(p.sent, bytes.Clone(b))
		}
	}
	p.mu.Unlock()
	return p.Bind.Send(bufs, to)
}

// ways are the paths of a node, as its transport would tell of them.
type ways struct {
	mu    sync.Mutex
	open  bool
	asked []string
}

func (w *ways) way(peer string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, peer)
	return w.open
}

func (w *ways) lead(open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = open
}

func (w *ways) questions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

// mute is a TUN whose Read cannot be woken.
type mute struct{ inner *planetest.TUN }

func (m mute) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return m.inner.Read(bufs, sizes, offset)
}

func (m mute) Write(bufs [][]byte, offset int) (int, error) { return m.inner.Write(bufs, offset) }

func (m mute) Close() error { return m.inner.Close() }

func (m mute) File() *os.File { return nil }

func (m mute) MTU() (int, error) { return m.inner.MTU() }

func (m mute) Name() (string, error) { return m.inner.Name() }

func (m mute) Events() <-chan tun.Event { return m.inner.Events() }

func (m mute) BatchSize() int { return m.inner.BatchSize() }
