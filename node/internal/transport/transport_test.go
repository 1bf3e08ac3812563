package transport_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// pair is two transports on a memory network, in virtual time.
type pair struct {
	net          *network
	relays       *relays
	a, b         *node
	bindA, bindB *memoryBind
	toB          conn.Endpoint
	waits        []func() // for receivers to end

	mu    sync.Mutex
	got   [][]byte // what b's WireGuard would get
	from  []conn.Endpoint
	moves []path.Info // of a's path to b
	sizes []int       // that it was told to carry since a move

	gathers atomic.Int32 // a's
}

// newPair starts both in a bubble, a with what change makes of its config; end
// ends them.
func newPair(t *testing.T, change func(*transport.Config)) (p *pair, end func()) {
	t.Helper()
	p = &pair{net: newNetwork(), relays: newRelays()}
	p.bindA, p.bindB = p.net.bind("198.51.100.1:1000"), p.net.bind("198.51.100.2:2000")
	c := transport.Config{Bind: p.bindA, OnGather: func() { p.gathers.Add(1) }, OnPath: func(peer string, in transport.PathInfo) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.moves); n > 0 && p.moves[n-1].Way() == in.Way() {
			p.sizes = append(p.sizes, in.MTU)
			return
		}
		p.moves = append(p.moves, in)
	}}
	change(&c)
	p.a = p.relays.node(t, "a", c)
	p.b = p.relays.node(t, "b", transport.Config{Bind: p.bindB})
	p.a.SetPeers([]transport.Peer{p.b.peer(p.bindB.addr)})
	p.b.SetPeers([]transport.Peer{p.a.peer()})
	ep, err := p.a.Bind().ParseEndpoint("cordon:b")
	if err != nil {
		t.Fatal(err)
	}
	p.toB = ep
	stopA, stopB := p.a.run(t), p.b.run(t)
	p.waits = append(p.waits, p.a.receive(t, func([]byte, conn.Endpoint) {}), p.b.receive(t, func(b []byte, ep conn.Endpoint) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got, p.from = append(p.got, b), append(p.from, ep)
	}))
	return p, func() {
		p.a.Bind().Close()
		p.b.Bind().Close()
		for _, wait := range p.waits {
			wait()
		}
		stopA()
		stopB()
	}
}

func (p *pair) send(t *testing.T, bufs ...[]byte) {
	t.Helper()
	if err := p.a.Bind().Send(bufs, p.toB); err != nil {
		t.Errorf("send: %v", err)
	}
}

func (p *pair) received() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

// bubble runs a test on a pair in virtual time.
func bubble(t *testing.T, test func(t *testing.T, p *pair)) {
	bubbleWith(t, func(*transport.Config) {}, test)
}

// bubbleWith is bubble with another config of a.
func bubbleWith(t *testing.T, change func(*transport.Config), test func(t *testing.T, p *pair)) {
	synctest.Test(t, func(t *testing.T) {
		p, end := newPair(t, change)
		synctest.Wait()
		test(t, p)
		end()
	})
}

func TestHeldHandshakeLeavesTheMomentAPathIsFound(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		start := time.Now()
		p.net.setCut(true)
		p.send(t, initiation(1))
		p.send(t, data(9))
		time.Sleep(2 * time.Second)
		p.send(t, initiation(2))
		synctest.Wait()
		if w := p.net.wireguard(); len(w) != 0 {
			t.Fatalf("%d datagrams left before a probe was answered", len(w))
		}
		p.net.setCut(false)
		for len(p.received()) == 0 && time.Since(start) < soon {
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if got := p.received(); len(got) != 1 || !bytes.Equal(got[0], initiation(2)) {
			t.Fatalf("b got %d datagrams, want the latest initiation alone", len(got))
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("after %v", took)
		}
		p.send(t, data(3), data(4))
		synctest.Wait()
		if got := p.received(); len(got) != 3 || !bytes.Equal(got[2], data(4)) {
			t.Errorf("data on the path: b got %d datagrams", len(got))
		}
	})
}

func TestResponseIsHeldToo(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, response(7))
		synctest.Wait()
		if got := p.received(); len(got) != 1 || !bytes.Equal(got[0], response(7)) {
			t.Errorf("b got %d datagrams, want the response", len(got))
		}
	})
}

func TestStaleHandshakeIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.net.setCut(true)
		p.send(t, initiation(1))
		time.Sleep(10 * time.Second)
		p.net.setCut(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := p.received(); len(got) != 0 {
			t.Error("an initiation that WireGuard has long given up was sent")
		}
		if in := p.a.Paths()["b"]; in.Endpoint != p.bindB.addr {
			t.Errorf("path: %+v; the test tests nothing", in)
		}
	})
}

func TestReceivedEndpointIsTheRealSenders(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.from) != 1 || p.from[0].DstToString() != p.bindA.addr.String() {
			t.Errorf("b sees %v, want %v", p.from, p.bindA.addr)
		}
	})
}

func TestLostPathIsToldAndFoundAgain(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		flow := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				p.send(t, data(1))
			}
		}
		flow(5 * time.Second)
		p.net.setCut(true)
		flow(3 * time.Second)
		if in := p.a.Paths()["b"]; in.Endpoint.IsValid() || in.Why == "" {
			t.Errorf("dead path still stands: %+v", in)
		}
		p.net.setCut(false)
		flow(5 * time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.moves) != 3 || !p.moves[0].Endpoint.IsValid() || p.moves[1].Endpoint.IsValid() || !p.moves[2].Endpoint.IsValid() {
			t.Errorf("OnPath was told %+v, want found, lost, found", p.moves)
		}
		if n := len(p.sizes); n == 0 || p.sizes[n-1] != p.a.Paths()["b"].MTU || p.sizes[n-1] == 0 {
			t.Errorf("OnPath was told of sizes %v", p.sizes)
		}
	})
}

func TestIdlePeersCostNothing(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := p.net.probes(); n != 0 {
			t.Errorf("%d probes without a wish to send", n)
		}
		if in := p.a.Paths()["b"]; in.Candidates != 1 || in.Why == "" {
			t.Errorf("of a sleeping peer status says %+v", in)
		}
		if p.a.HasPath("b") {
			t.Error("a path that nobody looked for")
		}
		p.a.Want("b")
		p.a.Want("stranger")
		synctest.Wait()
		if in := p.a.Paths()["b"]; in.Endpoint != p.bindB.addr || !p.a.HasPath("b") || p.a.HasPath("stranger") {
			t.Errorf("wanting finds no path: %+v", in)
		}
	})
}

func TestPing(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		ctx := context.Background()
		in, err := p.a.Ping(ctx, "b")
		if err != nil || in.Endpoint != p.bindB.addr {
			t.Fatalf("Ping = %+v, %v", in, err)
		}
		if _, err := p.a.Ping(ctx, "stranger"); !errors.Is(err, transport.ErrUnknownPeer) {
			t.Errorf("stranger: %v", err)
		}
		p.net.setCut(true)
		if in, err := p.a.Ping(ctx, "b"); !errors.Is(err, transport.ErrNoAnswer) || in.Why == "" {
			t.Errorf("cut: %+v, %v", in, err)
		}
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := p.a.Ping(short, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("deadline: %v", err)
		}
		gone := make(chan error)
		go func() { _, err := p.a.Ping(ctx, "b"); gone <- err }()
		synctest.Wait()
		p.a.SetPeers(nil)
		if err := <-gone; !errors.Is(err, transport.ErrNoAnswer) {
			t.Errorf("removed while pinged: %v", err)
		}
	})
}

func TestPingEndsWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "a", transport.Config{Bind: newNetwork().bind("198.51.100.1:1")})
		n.SetPeers([]transport.Peer{newNode(t, "b", transport.Config{}).peer()})
		gone := make(chan error)
		go func() { _, err := n.Ping(context.Background(), "b"); gone <- err }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		// A cancelled Run may or may not have looked into its mail.
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := <-gone; !errors.Is(err, transport.ErrStopped) && !errors.Is(err, transport.ErrNoAnswer) {
			t.Errorf("err = %v", err)
		}
		if err := n.Run(ctx); !errors.Is(err, transport.ErrRunning) {
			t.Errorf("second Run: %v", err)
		}
	})
}

func TestVirtualEndpointIsOneForLife(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		if p.toB.DstToString() != "cordon:b" {
			t.Errorf("text = %q", p.toB.DstToString())
		}
		p.send(t, initiation(1))
		synctest.Wait()
		p.a.SetPeers(nil)
		synctest.Wait()
		p.send(t, data(2))
		synctest.Wait()
		if n := len(p.received()); n != 1 {
			t.Errorf("b got %d datagrams, want none after it left the map", n-1)
		}
		runtime.GC() // which leaves what wireguard-go has
		p.a.SetPeers(nil)
		p.a.SetPeers([]transport.Peer{p.b.peer(p.bindB.addr)})
		if again, err := p.a.Bind().ParseEndpoint("cordon:b"); err != nil || again != p.toB {
			t.Errorf("another endpoint after a return to the map: %v", err)
		}
		time.Sleep(2 * time.Second)
		p.send(t, initiation(3))
		synctest.Wait()
		if n := len(p.received()); n != 2 {
			t.Errorf("b got %d datagrams after its return, want 1", n-1)
		}
		if _, err := p.a.Bind().ParseEndpoint("cordon:stranger"); !errors.Is(err, transport.ErrUnknownPeer) {
			t.Errorf("stranger: %v", err)
		}
	})
}

func TestStockEndpointsPassThrough(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		ep, err := p.a.Bind().ParseEndpoint(p.bindB.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ep.(*conn.StdNetEndpoint); !ok {
			t.Fatalf("%T, want that of the bind underneath", ep)
		}
		if err := p.a.Bind().Send([][]byte{initiation(1)}, ep); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(p.received()) != 1 || p.net.probes() != 0 {
			t.Error("a stock peer is not sent to at once")
		}
	})
}

func TestReopenedBindIsFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		for range 3 {
			time.Sleep(300 * time.Millisecond)
			if err := p.a.Bind().Close(); err != nil {
				t.Fatal(err)
			}
			wait := p.a.receive(t, func([]byte, conn.Endpoint) {})
			p.waits = append(p.waits, wait)
			synctest.Wait()
			if in := p.a.Paths()["b"]; !in.LastAnswer.Equal(time.Now()) {
				t.Error("path is not probed at once over the new socket")
			}
			p.send(t, data(2))
			synctest.Wait()
		}
		if n := len(p.received()); n != 4 {
			t.Errorf("b got %d datagrams, want 4", n)
		}
		if o := p.bindA.opened; len(o) != 4 || o[0] != 0 || o[3] != p.bindA.addr.Port() || p.a.Port() != p.bindA.addr.Port() {
			t.Errorf("opened on ports %v, want the first one again", o)
		}
	})
}

// Peers must be told of a port whenever there is a new one, and the device opens
// its sockets when it likes.
func TestOpenedSocketsAreTold(t *testing.T) {
	ports := make(chan uint16, 4)
	n := newNode(t, "a", transport.Config{
		Bind:   newNetwork().bind("198.51.100.1:1"),
		OnOpen: func(port uint16) { ports <- port },
	})
	defer n.run(t)()
	for range 2 {
		if _, port, err := n.Bind().Open(0); err != nil {
			t.Fatal(err)
		} else if told := <-ports; told != port {
			t.Errorf("told of port %d, opened %d", told, port)
		}
		if err := n.Bind().Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMarkOutlivesTheSocket(t *testing.T) {
	b := newNetwork().bind("198.51.100.1:1")
	n := newNode(t, "a", transport.Config{Bind: b, Mark: 0x77})
	reopen := func(want uint32) {
		t.Helper()
		b.mark = 0
		if _, _, err := n.Bind().Open(0); err != nil {
			t.Fatal(err)
		}
		if b.mark != want {
			t.Errorf("mark = %#x after opening, want %#x", b.mark, want)
		}
	}
	reopen(0x77)
	if err := n.Bind().SetMark(0x99); err != nil || b.mark != 0x99 {
		t.Errorf("mark = %#x, %v", b.mark, err)
	}
	n.Bind().Close()
	reopen(0x99)
	n.Bind().Close()
}

func TestHeldHandshakeLeavesOnce(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		p.a.SetPeers(nil)
		p.a.SetPeers([]transport.Peer{p.b.peer(p.bindB.addr)})
		if _, err := p.a.Ping(context.Background(), "b"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(p.received()); n != 1 {
			t.Errorf("b got %d initiations", n)
		}
	})
}

func TestForeignSTUNIsTakenOut(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		other := p.net.bind("203.0.113.66:66")
		to := &conn.StdNetEndpoint{AddrPort: p.bindB.addr}
		stun := []byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		if !probe.Is(stun) {
			t.Fatal("the test's datagram is no STUN")
		}
		other.Send([][]byte{stun, data(5), stun}, to)
		synctest.Wait()
		if got := p.received(); len(got) != 1 || !bytes.Equal(got[0], data(5)) {
			t.Errorf("WireGuard gets %d datagrams, want the one that is its own", len(got))
		}
		if n := len(other.in); n != 0 {
			t.Errorf("a stranger gets %d replies", n)
		}
	})
}

func TestFullInboxDoesNotBlockReceiving(t *testing.T) {
	net := newNetwork()
	mine, other := net.bind("198.51.100.1:1"), net.bind("203.0.113.66:66")
	n := newNode(t, "a", transport.Config{Bind: mine})
	fns, _, err := n.Bind().Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Bind().Close()
	// Run does not run: nobody empties the inbox.
	answer := probe.NewCodec().AppendAnswer(nil, probe.ID{1}, other.addr, &key.ProbeKey{1})
	bufs, sizes, eps := [][]byte{make([]byte, 2048)}, []int{0}, make([]conn.Endpoint, 1)
	for range 2000 {
		other.Send([][]byte{answer}, &conn.StdNetEndpoint{AddrPort: mine.addr})
		if count, err := fns[0](bufs, sizes, eps); count != 1 || err != nil || sizes[0] != 0 {
			t.Fatalf("count %d, size %d, err %v", count, sizes[0], err)
		}
	}
}

func TestNewRefusesMissingKeys(t *testing.T) {
	if _, err := transport.New(transport.Config{}); err == nil {
		t.Error("a transport without keys")
	}
}
