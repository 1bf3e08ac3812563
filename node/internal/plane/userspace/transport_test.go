package userspace_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// wire joins sockets in memory.
type wire struct {
	mu  sync.Mutex
	at  map[netip.AddrPort]*socket
	cut bool
}

func (w *wire) find(a netip.AddrPort) *socket {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil
	}
	return w.at[a]
}

func (w *wire) set(cut bool) { w.mu.Lock(); defer w.mu.Unlock(); w.cut = cut }

type socket struct {
	wire   *wire
	addr   netip.AddrPort
	in     chan letter
	closed chan struct{}
}

type letter struct {
	from netip.AddrPort
	data []byte
}

func (w *wire) socket(addr string) *socket {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &socket{wire: w, addr: netip.MustParseAddrPort(addr), in: make(chan letter, 512)}
	w.at[s.addr] = s
	return s
}

func (s *socket) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	closed := make(chan struct{})
	s.closed = closed
	return []conn.ReceiveFunc{func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		select {
		case <-closed:
			return 0, net.ErrClosed
		case l := <-s.in:
			sizes[0], eps[0] = copy(bufs[0], l.data), &conn.StdNetEndpoint{AddrPort: l.from}
			return 1, nil
		}
	}}, s.addr.Port(), nil
}

func (s *socket) Close() error {
	if s.closed != nil {
		close(s.closed)
		s.closed = nil
	}
	return nil
}

func (s *socket) Send(bufs [][]byte, ep conn.Endpoint) error {
	to := s.wire.find(ep.(*conn.StdNetEndpoint).AddrPort)
	for _, b := range bufs {
		if to != nil {
			to.in <- letter{s.addr, append([]byte(nil), b...)}
		}
	}
	return nil
}

func (s *socket) SetMark(uint32) error { return nil }
func (s *socket) BatchSize() int       { return 1 }
func (s *socket) ParseEndpoint(text string) (conn.Endpoint, error) {
	return new(conn.StdNetBind).ParseEndpoint(text)
}

// site is a node with a transport under its plane.
type site struct {
	keeping
	t       *testing.T
	id      string
	addr    string
	at      planetest.Address
	node    key.NodePrivate
	path    key.PathPrivate
	tunnel  key.TunnelPrivate
	ways    *transport.Transport
	relayed bool
	stop    func()
}

func newSite(t *testing.T, id, addr string, at planetest.Address, relayed bool) *site {
	return &site{t: t, id: id, addr: addr, at: at, node: key.NewNode(), path: key.NewPath(), tunnel: key.NewTunnel(), relayed: relayed}
}

// start starts the site with one peer, for the first time or again.
func (s *site) start(w *wire, other *site) {
	s.t.Helper()
	var err error
	s.ways, err = transport.New(transport.Config{Self: s.node.Public(), Path: &s.path, Bind: w.socket(s.addr),
		OnPath: func(peer string, info transport.PathInfo) {
			if info.Way().IsValid() {
				s.Found(peer)
			}
		},
		Relay: func(relay path.Relay, _ key.NodePublic, datagram []byte) bool {
			if w.find(netip.MustParseAddrPort(other.addr)) != nil {
				other.ways.FromRelay(relay, s.node.Public(), datagram)
			}
			return true
		}})
	if err != nil {
		s.t.Fatal(err)
	}
	peer := transport.Peer{ID: other.id, NodeKey: other.node.Public(), PathKey: other.path.Public(),
		Candidates: []netip.AddrPort{netip.MustParseAddrPort(other.addr)}}
	if s.relayed {
		peer.Candidates, peer.Home = nil, "r1"
	}
	s.ways.SetPeers([]transport.Peer{peer})
	s.tun = planetest.NewTUN(8)
	s.Keeping = keep(s.t, userspace.Options{TUN: s.tun, Bind: s.ways.Bind(), Now: now, Way: func(peer string) bool {
		s.ways.Want(peer)
		return s.ways.HasPath(peer)
	}})
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = s.ways.Run(ctx) })
	s.stop = func() { s.Close(); cancel(); wait.Wait() }
	synctest.Wait()
	s.configure(other)
}

func (s *site) configure(other *site) {
	s.t.Helper()
	c := couple{t: s.t}
	c.cfgA = config(s.tunnel, s.at, peerAt(other))
	c.cfgA.Rules = openUDP(53)
	c.configure(s.keeping, &c.cfgA)
}

func peerAt(s *site) plane.Peer { return peer(s.id, s.tunnel.Public(), s.at) }

// meet runs a test with two sites that may speak on UDP port 53.
func meet(t *testing.T, relayed bool, test func(t *testing.T, w *wire, c *couple, a, b *site)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{at: map[netip.AddrPort]*socket{}}
		a := newSite(t, "n-a", "192.0.2.1:7", planetest.A4, relayed)
		b := newSite(t, "n-b", "192.0.2.2:7", planetest.B4, relayed)
		a.start(w, b)
		defer func() { a.stop() }()
		time.Sleep(3700 * time.Millisecond)
		b.start(w, a)
		defer func() { b.stop() }()
		test(t, w, &couple{t: t}, a, b)
	})
}

// With real paths below, which are let go at a time of their own, the first packet
// after any silence arrives at once, whoever sends it, and from a peer that has
// just restarted too.
func TestFirstPacketAfterAnySilenceOverPaths(t *testing.T) {
	for name, relayed := range map[string]bool{"direct": false, "relayed": true} {
		t.Run(name, func(t *testing.T) {
			meet(t, relayed, func(t *testing.T, w *wire, c *couple, a, b *site) {
				for s, odd := 170*time.Second, false; s < 255*time.Second; s, odd = s+2900*time.Millisecond, !odd {
					if odd {
						b.tun.Send(back(53))
						c.arrive("after "+s.String(), a.keeping, back(53))
					} else {
						a.tun.Send(there(53))
						c.arrive("after "+s.String(), b.keeping, there(53))
					}
					time.Sleep(s)
				}
				for _, silence := range []time.Duration{time.Second, 190 * time.Second, time.Hour} {
					time.Sleep(silence)
					b.stop()
					b.start(w, a)
					b.tun.Send(back(1))
					c.arrive("from a peer that restarted after "+silence.String(), a.keeping, back(1))
				}
				time.Sleep(10 * time.Minute)
				c.tunnels("after a long silence", a.keeping, 0)
				c.tunnels("after a long silence", b.keeping, 0)
			})
		})
	}
}

// A peer that is off costs no tunnel, however long somebody tries, and is reached
// once it is there.
func TestUnreachablePeerCostsNoTunnel(t *testing.T) {
	meet(t, false, func(t *testing.T, w *wire, c *couple, a, b *site) {
		w.set(true)
		for i := range 120 {
			a.tun.Send(there(uint16(i)))
			time.Sleep(time.Second)
			c.tunnels("while the peer is off", a.keeping, 0)
		}
		w.set(false)
		for range 12 { // the path machine asks again every ten seconds
			time.Sleep(time.Second)
			synctest.Wait()
		}
		c.tunnels("when it is there", a.keeping, 1)
		if got := b.tun.Drain(); len(got) == 0 {
			t.Error("nothing that was sent of late arrived")
		}
	})
}
