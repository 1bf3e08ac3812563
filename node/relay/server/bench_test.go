package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// The figures of a relay over loopback, all ends in this one process: what the
// clients cost is in them. Run with -benchtime=1x or more; each ends by itself.

// load is a relay with room for a benchmark.
func load(b *testing.B) (*relaytest.Mesh, *server.Server, *relaytest.Host) {
	m := relaytest.NewMesh()
	s := relaytest.New(b, server.Config{Rate: 1 << 40, FrameRate: 1 << 40, MaxPerSource: 1 << 20, MaxPending: 1 << 20,
		QueueFrames: 1 << 16}, m)
	return m, s, relaytest.Serve(b, s)
}

// welcomed is a bare connection that the relay welcomed: it costs less than a
// client.
func welcomed(ctx context.Context, m *relaytest.Mesh, d *relay.Dialer) (*relay.Stream, key.NodePublic, error) {
	k, buf := key.NewNode(), make([]byte, 256)
	s, err := d.Open(ctx)
	if err != nil {
		return nil, k.Public(), err
	}
	_, body, err := relay.ReadFrame(s, buf)
	if err != nil {
		return nil, k.Public(), err
	}
	c, err := relay.ParseChallenge(body)
	if err != nil {
		return nil, k.Public(), err
	}
	s.Write(relay.NewHello(&k, c, s.Binding, relay.NewInstance(), m.Ticket(k.Public(), time.Hour)).Append(nil))
	kind, _, err := relay.ReadFrame(s, buf)
	if err == nil && kind != relay.TypeWelcome {
		err = fmt.Errorf("answered with type %#x", byte(kind))
	}
	return s, k.Public(), err
}

func admitted(b *testing.B, m *relaytest.Mesh, d *relay.Dialer) (*relay.Stream, key.NodePublic) {
	b.Helper()
	s, k, err := welcomed(b.Context(), m, d)
	if err != nil {
		b.Fatal(err)
	}
	return s, k
}

// inUse is heap and stacks after the collector had its say, which also gives
// back stacks that were long once.
func inUse() uint64 {
	for range 6 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// idle opens n connections that only stand, and gives what the near end of one
// costs in memory: of the far ends nothing is left but their sockets.
func idle(b *testing.B, n int, h *relaytest.Host, open func(*relay.Dialer)) (each float64) {
	var raw net.Conn
	d := h.Dialer()
	d.Dial = func(ctx context.Context, network, address string) (c net.Conn, err error) {
		raw, err = new(net.Dialer).DialContext(ctx, network, address)
		return raw, err
	}
	open(d) // what is made once, of whatever kind
	sockets := []net.Conn{raw}
	before := inUse()
	for range n {
		open(d)
		sockets = append(sockets, raw)
	}
	time.Sleep(100 * time.Millisecond)
	each = float64(inUse()-before) / float64(n)
	for _, c := range sockets {
		c.Close()
	}
	return each
}

// BenchmarkMemory compares an idle client of the relay with a bare TLS connection
// that an HTTP server gave away, and that a goroutine reads. Use -benchtime=1x.
func BenchmarkMemory(b *testing.B) {
	const n = 2000
	bare := idle(b, n, hijacking(b), func(d *relay.Dialer) {
		if _, err := d.Open(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
	m, _, h := load(b)
	ours := idle(b, n, h, func(d *relay.Dialer) { admitted(b, m, d) })
	b.ReportMetric(bare/1024, "bare-KiB/conn")
	b.ReportMetric(ours/1024, "relay-KiB/conn")
	b.ReportMetric(ours/bare, "of-bare")
}

// hijacking takes connections over as the relay does, and waits for a byte.
func hijacking(b *testing.B) *relaytest.Host {
	var running sync.WaitGroup
	b.Cleanup(running.Wait)
	return relaytest.Serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		running.Go(func() {
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cordon-relay\r\n\r\n")
			one := make([]byte, 1)
			conn.Read(one)
		})
	}))
}

// BenchmarkDelay has one node's datagram go to another and back, 1,000 times a
// second, while others only stand and ping as they must. One way is half of it;
// direct is the same over one TLS connection without a relay. Use -benchtime=1x.
func BenchmarkDelay(b *testing.B) {
	const rounds = 5000
	crowd := newCrowd(b)
	m := relaytest.NewMesh()
	s := relaytest.New(b, server.Config{Roots: []key.Fingerprint{crowd.root}, MaxPerSource: 1 << 20, MaxPending: 1 << 20}, m)
	h := relaytest.Serve(b, s)
	direct := echoes(rounds, directPair(b))
	quiet := echoes(rounds, relayedPair(b, m, h))
	crowd.stand(b, h, 10_000)
	crowded := echoes(rounds, relayedPair(b, m, h))
	if n := s.Stats().Clients; n < 10_000 {
		b.Fatal(n, "connections stand")
	}
	for name, d := range map[string][]time.Duration{"direct": direct, "relay": quiet, "10k-idle": crowded} {
		b.ReportMetric(float64(d[len(d)/2].Nanoseconds())/2e3, name+"-p50-us")
		b.ReportMetric(float64(d[len(d)*99/100].Nanoseconds())/2e3, name+"-p99-us")
	}
	b.ReportMetric(float64((crowded[rounds*99/100]-direct[rounds*99/100]).Nanoseconds())/2e3, "added-p99-us")
}

// echoes times round trips of 1,200 bytes, sorted.
func echoes(rounds int, round func()) []time.Duration {
	took := make([]time.Duration, rounds)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range took {
		<-tick.C
		at := time.Now()
		round()
		took[i] = time.Since(at)
	}
	slices.Sort(took)
	return took
}

func directPair(b *testing.B) (round func()) {
	d := hijackedEcho(b).Dialer()
	s, err := d.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	frame := make([]byte, 1236)
	return func() {
		s.Write(frame)
		io.ReadFull(s, frame)
	}
}

func hijackedEcho(b *testing.B) *relaytest.Host {
	return relaytest.Serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cordon-relay\r\n\r\n")
		io.Copy(struct{ io.Writer }{conn}, conn)
	}))
}

func relayedPair(b *testing.B, m *relaytest.Mesh, h *relaytest.Host) (round func()) {
	one, _ := admitted(b, m, h.Dialer())
	other, at := admitted(b, m, h.Dialer())
	var answering sync.WaitGroup
	answering.Go(func() {
		frame := make([]byte, 1236)
		for {
			if _, err := io.ReadFull(other, frame); err != nil {
				return
			}
			frame[0] = byte(relay.TypeSend) // back to whom it came from
			other.Write(frame)
		}
	})
	b.Cleanup(func() { one.Close(); other.Close(); answering.Wait() })
	frame := relay.Append(nil, relay.TypeSend, at.Bytes(), make([]byte, 1200))
	in := make([]byte, len(frame))
	return func() {
		one.Write(frame)
		io.ReadFull(one, in)
	}
}
