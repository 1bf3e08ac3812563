package transport_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network joins memory binds: a wire without sockets, for virtual time.
type network struct {
	mu    sync.Mutex
	binds map[netip.AddrPort]*memoryBind
	cut   bool
	fail  func(wireguard, sticky bool) error // of Send; nil: none
	sent  []sent                             // all that left
}

type sent struct {
	from, to netip.AddrPort
	data     []byte
	sticky   bool // by a local address that the sender chose
}

type packet struct {
	from netip.AddrPort
	data []byte
}

// memoryBind is a conn.Bind on a network.
type memoryBind struct {
	net    *network
	addr   netip.AddrPort
	in     chan packet
	closed chan struct{}
	mark   uint32
	opened []uint16
	sticky sync.Map    // received endpoints: they know the local address
	quiet  atomic.Bool // Send does nothing
}

func newNetwork() *network { return &network{binds: map[netip.AddrPort]*memoryBind{}} }

func (n *network) bind(addr string) *memoryBind {
	b := &memoryBind{net: n, addr: netip.MustParseAddrPort(addr), in: make(chan packet, 512)}
	n.binds[b.addr] = b
	return b
}

func (n *network) setFail(fail func(wireguard, sticky bool) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = fail
}

// requests gives the probe requests that left from an address.
func (n *network) requests(from netip.AddrPort) (out []sent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.sent {
		if h, _ := probe.Peek(s.data); s.from == from && h.Kind == probe.Request {
			out = append(out, s)
		}
	}
	return out
}

func (n *network) setCut(cut bool) { n.mu.Lock(); defer n.mu.Unlock(); n.cut = cut }

// wireguard gives what left that is not STUN.
func (n *network) wireguard() (out []sent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.sent {
		if !probe.Is(s.data) {
			out = append(out, s)
		}
	}
	return out
}

func (n *network) probes() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, s := range n.sent {
		if probe.Is(s.data) {
			count++
		}
	}
	return count
}

func (b *memoryBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.opened = append(b.opened, port)
	closed := make(chan struct{})
	b.closed = closed
	if port == 0 {
		port = b.addr.Port()
	}
	return []conn.ReceiveFunc{func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		select {
		case <-closed:
			return 0, net.ErrClosed
		case p := <-b.in:
			ep := &conn.StdNetEndpoint{AddrPort: p.from}
			b.sticky.Store(ep, true)
			sizes[0], eps[0] = copy(bufs[0], p.data), ep
			return 1, nil
		}
	}}, port, nil
}

func (b *memoryBind) Close() error {
	if b.closed != nil {
		close(b.closed)
		b.closed = nil
	}
	return nil
}

func (b *memoryBind) Send(bufs [][]byte, ep conn.Endpoint) error {
	if b.quiet.Load() {
		return nil
	}
	n := b.net
	n.mu.Lock()
	defer n.mu.Unlock()
	to := ep.(*conn.StdNetEndpoint).AddrPort
	_, sticky := b.sticky.Load(ep)
	if n.fail != nil {
		if err := n.fail(!probe.Is(bufs[0]), sticky); err != nil {
			return err
		}
	}
	for _, buf := range bufs {
		data := slices.Clone(buf)
		n.sent = append(n.sent, sent{b.addr, to, data, sticky})
		if peer := n.binds[to]; peer != nil && !n.cut {
			select {
			case peer.in <- packet{b.addr, data}:
			default:
			}
		}
	}
	return nil
}

func (b *memoryBind) SetMark(mark uint32) error { b.mark = mark; return nil }
func (b *memoryBind) BatchSize() int            { return 8 }
func (b *memoryBind) ParseEndpoint(s string) (conn.Endpoint, error) {
	return new(conn.StdNetBind).ParseEndpoint(s)
}

// node is a transport under test, with keys.
type node struct {
	*transport.Transport
	id       string
	identity key.NodePrivate
	path     key.PathPrivate
}

func newNode(t testing.TB, id string, c transport.Config) *node {
	t.Helper()
	n := &node{id: id, identity: key.NewNode(), path: key.NewPath()}
	c.Self, c.Path = n.identity.Public(), &n.path
	tr, err := transport.New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.Transport = tr
	return n
}

func (n *node) peer(candidates ...netip.AddrPort) transport.Peer {
	return transport.Peer{ID: n.id, NodeKey: n.identity.Public(), PathKey: n.path.Public(), Candidates: candidates}
}

// run runs the loop and returns how to stop it.
func (n *node) run(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// receive opens the bind and reads it as wireguard-go does, until it closes.
// What is not taken out goes to got.
func (n *node) receive(t testing.TB, got func([]byte, conn.Endpoint)) (wait func()) {
	t.Helper()
	fns, _, err := n.Bind().Open(0)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, fn := range fns {
		wg.Go(func() {
			size := n.Bind().BatchSize()
			bufs, sizes, eps := make([][]byte, size), make([]int, size), make([]conn.Endpoint, size)
			for i := range bufs {
				bufs[i] = make([]byte, 2048)
			}
			for {
				count, err := fn(bufs, sizes, eps)
				if err != nil {
					return
				}
				for i := range count {
					if sizes[i] > 0 {
						got(slices.Clone(bufs[i][:sizes[i]]), eps[i])
					}
				}
			}
		})
	}
	return wg.Wait
}

// initiation and data look to transport as WireGuard's do.
func initiation(mark byte) []byte {
	b := make([]byte, 148)
	b[0], b[147] = 1, mark
	return b
}

func response(mark byte) []byte {
	b := make([]byte, 92)
	b[0], b[91] = 2, mark
	return b
}

func data(mark byte) []byte { return []byte{4, 0, 0, 0, mark} }

const soon = 10 * time.Second
