package integration

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// chatter is a program that never stops talking to a peer's mesh addresses,
// whatever becomes of the tunnel.
type chatter struct {
	answers atomic.Int64
	sent    atomic.Int64
	conn    *net.UDPConn
	work    sync.WaitGroup
}

// startChatter sends [lab.Marker] to each address every 5 ms until the test ends.
func startChatter(t *testing.T, h *lab.Host, to ...netip.AddrPort) *chatter {
	t.Helper()
	// Not connected: each datagram asks anew which way to go, and by which source.
	c := &chatter{conn: h.ListenUDP(netip.AddrPortFrom(netip.IPv6Unspecified(), 0))}
	ctx, cancel := context.WithCancel(t.Context())
	c.work.Go(func() {
		for ctx.Err() == nil {
			for _, a := range to {
				_, _ = c.conn.WriteToUDPAddrPort([]byte(lab.Marker), a) // a refusal is right at times
				c.sent.Add(1)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	c.work.Go(func() {
		buf := make([]byte, 100)
		for {
			n, err := c.conn.Read(buf)
			if ctx.Err() != nil {
				return
			}
			if err == nil && bytes.Equal(buf[:n], []byte(lab.Marker)) {
				c.answers.Add(1)
			}
		}
	})
	t.Cleanup(func() { cancel(); c.conn.Close(); c.work.Wait() })
	return c
}

func (c *chatter) answered(t *testing.T, when string) {
	t.Helper()
	before := c.answers.Load()
	lab.Eventually(t, patience, "answers come "+when, func() (bool, string) { return c.answers.Load() > before+20, "none" })
}

// goesOn waits until so much more was said, answered or not.
func (c *chatter) goesOn(t *testing.T) {
	t.Helper()
	before := c.sent.Load()
	lab.Eventually(t, patience, "the program talks", func() (bool, string) { return c.sent.Load() > before+100, "it is silent" })
}

// twoPlaces is an internet in which the node at home can also be plugged into
// the LAN of a café that lets out TCP 443 alone: by eth1, which starts without a
// route.
func twoPlaces(t *testing.T) (lab.Topology, []lab.Site) {
	t.Helper()
	var sites []lab.Site
	for _, name := range []string{"home", "port-range", "tcp-443"} {
		s, ok := lab.FindSite(name)
		if !ok {
			t.Fatal(name)
		}
		sites = append(sites, s)
	}
	top := lab.Internet(sites...)
	for i, m := range top.Machines {
		if m.Name == "home" {
			top.Machines[i].Links = append(m.Links, lab.Link{Network: "tcp-443-lan", Addresses: []string{"192.168.1.77/24"}})
		}
	}
	return top, sites
}

// What programs send to a peer is on no link of the underlay in clear: not when a
// daemon starts, is stopped or is killed, not on a direct path, at a relay, nor on the way
// from one to the other.
func TestNothingIsInClearThroughStartStopKillAndRoam(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	top, sites := twoPlaces(t)
	m := lab.RaiseMeshOn(t, lab.Build(t), top, sites...)
	home, peer := m.Nodes["home"], m.Nodes["port-range"]
	home.Host.SetLink("eth1", false)
	m.Introduce(lab.Pair{A: "home", B: "port-range"})
	mesh := []netip.Prefix{netip.PrefixFrom(peer.Mesh4(), 32), netip.PrefixFrom(peer.Mesh6(), 128), netip.PrefixFrom(home.Mesh4(), 32), netip.PrefixFrom(home.Mesh6(), 128)}
	touching := lab.Touching(mesh...)
	inClear := m.CaptureUnderlay(func(p []byte) bool { return touching(p) || bytes.Contains(p, []byte(lab.Marker)) })
	talk := startChatter(t, home.Host, netip.AddrPortFrom(peer.Mesh4(), lab.MeetPort), netip.AddrPortFrom(peer.Mesh6(), lab.MeetPort))

	direct := func(s *local.Status) bool { p, _ := lab.FindPeer(s, "port-range"); return p.Path == local.PathDirect }
	relayed := func(s *local.Status) bool { p, _ := lab.FindPeer(s, "port-range"); return p.Path == local.PathRelay }
	talk.answered(t, "at the start")
	home.Wait("is direct", direct)
	for _, d := range []*lab.Daemon{home, peer} {
		d.Process.Kill()
		talk.goesOn(t)
		d.Start()
		talk.answered(t, "after "+d.Name+" was killed")
		if err := d.Process.Stop(patience); err != nil {
			t.Fatal(err)
		}
		talk.goesOn(t)
		d.Start()
		talk.answered(t, "after "+d.Name+" was stopped")
	}
	home.Wait("is direct again", direct)
	home.Host.SetLink("eth0", false)
	talk.goesOn(t)
	home.Host.SetLink("eth1", true)
	home.Host.MustRun("ip", "route", "add", "default", "via", "192.168.1.1", "dev", "eth1")
	home.Wait("is relayed from the café", relayed)
	talk.answered(t, "in the café")
	home.Host.SetLink("eth1", false)
	home.Host.SetLink("eth0", true)
	home.Host.MustRun("ip", "route", "add", "default", "via", "192.168.1.1", "dev", "eth0")
	home.Wait("is direct at home", direct)
	talk.answered(t, "at home")
	nothingInClear(t, inClear)
	seesClear(t, m, home, touching)
}

// seesClear shows that the captures would have seen it: a node that its user takes
// down leaves the mesh's addresses to the default route.
func seesClear(t *testing.T, m *lab.Mesh, d *lab.Daemon, want func([]byte) bool) {
	t.Helper()
	seen := m.CaptureUnderlay(want)
	if out, err := d.TryCLI("", "down"); err != nil {
		t.Fatalf("cordon down: %v %s", err, out)
	}
	lab.Eventually(t, patience, "captures see what leaves in clear", func() (bool, string) {
		links := 0
		for _, c := range seen {
			if c.Count() > 0 {
				links++
			}
		}
		return links >= 3, "too few" // the node's, and both of its router's
	})
}
