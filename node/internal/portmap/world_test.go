package portmap_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/node/internal/portmap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a Client that runs, and what it told.
type node struct {
	*portmap.Client
	told chan portmap.Status
	stop func() // ends Run and waits for it
}

// run starts a client; prepare sets it up before.
func run(t *testing.T, prepare func(*portmap.Client)) *node {
	t.Helper()
	n := &node{told: make(chan portmap.Status, 1000)}
	n.Client = portmap.New(portmap.Config{OnChange: func(s portmap.Status) { n.told <- s }})
	prepare(n.Client)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run gave %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// until waits for a status that fits.
func (n *node) until(t *testing.T, fits func(portmap.Status) bool) portmap.Status {
	t.Helper()
	limit := time.After(time.Minute)
	var last portmap.Status
	for {
		select {
		case last = <-n.told:
			if fits(last) {
				return last
			}
		case <-limit:
			t.Fatalf("nothing that was awaited happened; the last status is %+v", last)
		}
	}
}

func mapped(s portmap.Status) bool { return s.Protocol != portmap.None }

// failed tells a status that says why there is no mapping, once that is known.
func failed(s portmap.Status) bool { return !mapped(s) && s.Why != "the gateway is being asked" }

// onLoopback serves a router at real sockets of 127.0.0.1 (or another host), and
// gives a client that knows its ports.
func (r *router) onLoopback(t *testing.T, host string) func(*portmap.Client) {
	t.Helper()
	serve := func(answer func(from netip.Addr, b []byte) [][]byte) uint16 {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
		if err != nil {
			t.Fatal(err)
		}
		var loop sync.WaitGroup
		loop.Go(func() {
			b := make([]byte, 4096)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				if r.ambush != nil {
					r.ambush(from, b[:n])
				}
				for _, a := range answer(from.Addr().Unmap(), b[:n]) {
					conn.WriteToUDPAddrPort(a, from)
				}
			}
		})
		t.Cleanup(func() { conn.Close(); loop.Wait() })
		return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	r.serveWeb(t, l)
	r.web.url = "http://" + l.Addr().String()
	ssdp := serve(func(_ netip.Addr, b []byte) [][]byte {
		if a := r.search(b); a != nil {
			return [][]byte{a}
		}
		return nil
	})
	gateway := serve(r.datagram)
	return func(c *portmap.Client) { c.ServePorts(gateway, ssdp) }
}

func (r *router) serveWeb(t *testing.T, l net.Listener) {
	server := &http.Server{Handler: r}
	var loop sync.WaitGroup
	loop.Go(func() { server.Serve(l) })
	t.Cleanup(func() { server.Close(); loop.Wait() })
}

// air is a made-up network: routers by address, for tests in virtual time.
type air struct {
	t       *testing.T
	routers map[netip.Addr]*router
	webs    map[netip.Addr]pipes
	pipes   sync.WaitGroup
}

func newAir(t *testing.T) *air {
	a := &air{t: t, routers: map[netip.Addr]*router{}, webs: map[netip.Addr]pipes{}}
	t.Cleanup(a.pipes.Wait)
	return a
}

// put places a router.
func (a *air) put(at string, r *router) *router {
	addr := netip.MustParseAddr(at)
	a.routers[addr], a.webs[addr] = r, pipes{make(chan net.Conn), make(chan struct{})}
	r.web.url = "http://" + at + ":49152"
	r.serveWeb(a.t, a.webs[addr])
	return r
}

func (a *air) prepare(c *portmap.Client) { c.ServeSockets(a.dial, a.listen) }

// dial gives a pipe: one Write is one Read, as of a datagram, because the buffers
// of both ends hold the longest.
func (a *air) dial(ctx context.Context, network string, local netip.Addr, to netip.AddrPort) (net.Conn, error) {
	r := a.routers[to.Addr()]
	ours, theirs := net.Pipe()
	if network == "tcp" {
		if r == nil {
			return nil, errors.New("no route to host")
		}
		select {
		case a.webs[to.Addr()].conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if to.Port() != 5351 {
		a.t.Errorf("a datagram to port %d", to.Port())
	}
	a.pipes.Go(func() {
		defer theirs.Close()
		b := make([]byte, 4096)
		for {
			n, err := theirs.Read(b)
			if err != nil {
				return
			}
			if r == nil {
				continue
			}
			answers := r.datagram(local, b[:n])
			if r.late != nil {
				time.Sleep(r.late(b[:n]))
			}
			for _, answer := range answers {
				if _, err := theirs.Write(answer); err != nil {
					return
				}
			}
		}
	})
	return ours, nil
}

func (a *air) listen(context.Context, netip.Addr) (net.PacketConn, error) {
	return &packets{air: a, in: make(chan packet, 100), closed: make(chan struct{}), moved: make(chan struct{})}, nil
}

// pipes is a listener of in-memory connections.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

type packet struct {
	b    []byte
	from netip.AddrPort
}

// packets is an in-memory UDP socket that routers hear.
type packets struct {
	net.PacketConn
	air    *air
	in     chan packet
	closed chan struct{}

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed when deadline moves
}

func (p *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	dst := to.(*net.UDPAddr).AddrPort()
	for at, r := range p.air.routers {
		if dst.Port() == 1900 && (dst.Addr() == at || dst.Addr().IsMulticast()) {
			if answer := r.search(b); answer != nil {
				p.in <- packet{answer, netip.AddrPortFrom(at, 1900)}
			}
		}
	}
	return len(b), nil
}

func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		p.mu.Lock()
		left, moved := time.Until(p.deadline), p.moved
		p.mu.Unlock()
		if left <= 0 {
			return 0, nil, os.ErrDeadlineExceeded
		}
		select {
		case in := <-p.in:
			return copy(b, in.b), net.UDPAddrFromAddrPort(in.from), nil
		case <-time.After(left):
		case <-moved:
		case <-p.closed:
			return 0, nil, net.ErrClosed
		}
	}
}

func (p *packets) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

func (p *packets) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	close(p.moved)
	p.moved = make(chan struct{})
	return nil
}

func (p *packets) Close() error { close(p.closed); return nil }
