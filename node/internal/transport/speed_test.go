package transport_test

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/node/internal/transport"
)

// nullBind sends nowhere and receives the same batch for ever.
type nullBind struct {
	conn.Bind
	ep conn.Endpoint
}

func (n nullBind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	return []conn.ReceiveFunc{func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		for i := range bufs {
			sizes[i], eps[i] = 1452, n.ep
			bufs[i][0] = 4
		}
		return len(bufs), nil
	}}, 1, nil
}

func (n nullBind) Send([][]byte, conn.Endpoint) error { return nil }
func (n nullBind) Close() error                       { return nil }

func batch(n int) (bufs [][]byte, sizes []int, eps []conn.Endpoint) {
	for range n {
		b := make([]byte, 1452, 2048)
		b[0] = 4
		bufs = append(bufs, b)
	}
	return bufs, make([]int, n), make([]conn.Endpoint, n)
}

func TestSendingAllocatesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, p *pair) {
		p.send(t, initiation(1))
		synctest.Wait()
		if !p.a.Paths()["b"].Endpoint.IsValid() {
			t.Fatal("no path")
		}
		p.bindA.quiet.Store(true)
		bufs, _, _ := batch(8)
		bind := p.a.Bind()
		if n := testing.AllocsPerRun(1000, func() { bind.Send(bufs, p.toB) }); n != 0 {
			t.Errorf("%v allocations for a batch of 8", n)
		}
		p.bindA.quiet.Store(false)
	})
}

func TestSendingWithoutAPathAllocatesNothing(t *testing.T) {
	n := newNode(t, "a", transport.Config{Bind: nullBind{Bind: newNetwork().bind("198.51.100.1:1")}})
	n.SetPeers([]transport.Peer{newNode(t, "b", transport.Config{}).peer()})
	bind := n.Bind()
	ep, err := bind.ParseEndpoint("cordon:b")
	if err != nil {
		t.Fatal(err)
	}
	bufs, first := [][]byte{data(1)}, [][]byte{initiation(1)}
	if n := testing.AllocsPerRun(1000, func() { bind.Send(bufs, ep); bind.Send(first, ep) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	n := newNode(t, "a", transport.Config{Bind: nullBind{ep: &conn.StdNetEndpoint{}}})
	fns, _, err := n.Bind().Open(0)
	if err != nil {
		t.Fatal(err)
	}
	bufs, sizes, eps := batch(128)
	if n := testing.AllocsPerRun(1000, func() { fns[0](bufs, sizes, eps) }); n != 0 {
		t.Errorf("%v allocations for a batch of 128", n)
	}
}

// BenchmarkOurPart measures what our bind adds, with nothing underneath: the
// choice of the path for a batch that leaves, and the look for STUN in a batch
// of 128 that arrives.
func BenchmarkOurPart(b *testing.B) {
	net := newNetwork()
	bindA, bindB := net.bind("198.51.100.1:1"), net.bind("198.51.100.2:2")
	a, z := newNode(b, "a", transport.Config{Bind: bindA}), newNode(b, "b", transport.Config{Bind: bindB})
	_, endA := drain(b, a.Bind())
	_, endZ := drain(b, z.Bind())
	defer endA()
	defer endZ()
	a.SetPeers([]transport.Peer{z.peer(bindB.addr)})
	z.SetPeers([]transport.Peer{a.peer()})
	defer a.run(b)()
	defer z.run(b)()
	if _, err := a.Ping(b.Context(), "b"); err != nil {
		b.Fatal(err)
	}
	ep, err := a.Bind().ParseEndpoint("cordon:b")
	if err != nil {
		b.Fatal(err)
	}
	bufs, sizes, eps := batch(128)
	b.Run("send", func(b *testing.B) {
		bindA.quiet.Store(true)
		defer bindA.quiet.Store(false)
		b.ReportAllocs()
		for b.Loop() {
			a.Bind().Send(bufs[:64], ep)
		}
	})
	b.Run("receive", func(b *testing.B) {
		idle := newNode(b, "c", transport.Config{Bind: nullBind{ep: &conn.StdNetEndpoint{}}})
		fns, _, err := idle.Bind().Open(0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			fns[0](bufs, sizes, eps)
		}
	})
}

// BenchmarkLoopback sends batches over real sockets, by our bind and by the bare
// one, turn by turn. One operation is a batch of 64 datagrams of 1,452 bytes
// received.
func BenchmarkLoopback(b *testing.B) {
	for range 3 {
		b.Run("bare", func(b *testing.B) { loopback(b, false) })
		b.Run("cordon", func(b *testing.B) { loopback(b, true) })
	}
}

func loopback(b *testing.B, ours bool) {
	from, to := conn.NewDefaultBind(), conn.NewDefaultBind()
	var sender, receiver *node
	if ours {
		sender, receiver = newNode(b, "a", transport.Config{Bind: from}), newNode(b, "b", transport.Config{Bind: to})
		from, to = sender.Bind(), receiver.Bind()
	}
	_, endFrom := drain(b, from)
	port, endTo := drain(b, to)
	address := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	text := address.String()
	if ours {
		sender.SetPeers([]transport.Peer{receiver.peer(address)})
		receiver.SetPeers([]transport.Peer{sender.peer()})
		defer sender.run(b)()
		defer receiver.run(b)()
		if _, err := sender.Ping(b.Context(), "b"); err != nil {
			b.Fatal(err)
		}
		text = "cordon:b"
	}
	ep, err := from.ParseEndpoint(text)
	if err != nil {
		b.Fatal(err)
	}
	bufs, _, _ := batch(64)
	for i := range bufs {
		bufs[i] = append(make([]byte, 0, 65535), bufs[i]...) // room to coalesce in
	}
	b.SetBytes(64 * 1452)
	b.ReportAllocs()
	for b.Loop() {
		if err := from.Send(bufs, ep); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(64*b.N)/b.Elapsed().Seconds(), "sent/s")
	endFrom()
	b.ReportMetric(float64(endTo())/b.Elapsed().Seconds(), "received/s")
}

// drain opens a bind and reads it until end closes it; end gives the number of
// datagrams that came.
func drain(b *testing.B, bind conn.Bind) (port uint16, end func() int64) {
	fns, port, err := bind.Open(0)
	if err != nil {
		b.Fatal(err)
	}
	var got atomic.Int64
	var wg sync.WaitGroup
	for _, fn := range fns {
		wg.Go(func() {
			bufs, sizes, eps := batch(bind.BatchSize())
			for i := range bufs {
				bufs[i] = make([]byte, 65535)
			}
			for {
				n, err := fn(bufs, sizes, eps)
				if err != nil {
					return
				}
				for _, s := range sizes[:n] {
					if s > 0 {
						got.Add(1)
					}
				}
			}
		})
	}
	return port, func() int64 {
		bind.Close()
		wg.Wait()
		return got.Load()
	}
}
