package userspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
)

// script is a tun.Device that reads one batch again and again, and looks at
// what is written without keeping it.
type script struct {
	tun.Device
	packets [][]byte
	err     error
	wrote   func(bufs [][]byte, offset int)
	woken   atomic.Int64 // times that a read deadline was set
}

func (s *script) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		s.woken.Add(1)
	}
	return nil
}

func (s *script) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	for i, p := range s.packets {
		sizes[i] = copy(bufs[i][offset:], p)
	}
	return len(s.packets), s.err
}

func (s *script) Write(bufs [][]byte, offset int) (int, error) {
	if s.wrote != nil {
		s.wrote(bufs, offset)
	}
	return len(bufs), nil
}

func (s *script) Close() error   { return nil }
func (s *script) File() *os.File { return nil }

const offset = 16

// guarded is a guard for node A, whose peer B may be asked for UDP 53 to 60 and
// may ask for the same.
func guarded(t testing.TB, dev *script) *guard {
	t.Helper()
	f, err := filter.New(filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := key.NewTunnel()
	rules := []acl.Rule{{ID: "r", Src: []acl.Class{1, 2}, Dst: []acl.Class{1, 2},
		Open: []acl.Service{{Protocol: acl.UDP, First: 53, Last: 60}}}}
	table, err := compile(&plane.Config{Revision: 1, Mesh: planetest.Ranges(), Rules: acl.RuleSet{In: rules, Out: rules},
		Self: plane.Self{Prefixes: []acl.PrefixClass{{Prefix: planetest.A4.Host(), Class: 1}, {Prefix: planetest.A6.Host(), Class: 1}}},
		Peers: []plane.Peer{{ID: "n-b", TunnelKey: k.Public(), Prefixes: []acl.PrefixClass{
			{Prefix: planetest.B4.Host(), Class: 2}, {Prefix: planetest.B6.Host(), Class: 2}}}}})
	if err != nil {
		t.Fatal(err)
	}
	f.Load(table)
	g := newGuard(dev, f, func() filter.Moment { return filter.At(time.Now()) })
	b := &member{id: "n-b", key: k.Public()}
	b.in.Store(true)
	g.roster.Store(&roster{byID: map[string]*member{b.id: b}})
	return g
}

func buffers(n int) (bufs [][]byte, sizes []int) {
	for range n {
		bufs = append(bufs, make([]byte, 2048))
	}
	return bufs, make([]int, n)
}

func outbound(ports ...uint16) (packets [][]byte) {
	for i, port := range ports {
		packets = append(packets, planetest.UDP(planetest.A4, planetest.B4, 5000+uint16(i), port))
	}
	return packets
}

func TestRefusedStaysInItsPlaceWithSizeZero(t *testing.T) {
	dev := &script{packets: outbound(53, 99, 54, 99, 99, 60)}
	g := guarded(t, dev)
	bufs, sizes := buffers(8)
	first := make([]*byte, len(bufs))
	for i := range bufs {
		first[i] = &bufs[i][0]
	}
	n, err := g.Read(bufs, sizes, offset)
	if n != 6 || err != nil {
		t.Fatalf("Read gave %d, %v; want all 6 places", n, err)
	}
	for i, p := range dev.packets {
		if &bufs[i][0] != first[i] {
			t.Fatalf("buffer %d moved: wireguard-go ties buffers to places", i)
		}
		want := p
		if slices.Contains([]int{1, 3, 4}, i) {
			want = nil
		}
		if got := bufs[i][offset : offset+sizes[i]]; !bytes.Equal(got, want) {
			t.Errorf("place %d holds %x, want %x", i, got, want)
		}
	}
}

func TestWriteClosesGapsAndKeepsOrder(t *testing.T) {
	var got [][]byte
	dev := &script{wrote: func(bufs [][]byte, offset int) {
		for _, b := range bufs {
			got = append(got, bytes.Clone(b[offset:]))
		}
	}}
	g := guarded(t, dev)
	var bufs, want [][]byte
	for i, port := range []uint16{99, 53, 99, 54, 55, 99} {
		p := planetest.UDP(planetest.B6, planetest.A6, 5000+uint16(i), port)
		bufs = append(bufs, append(make([]byte, offset), p...))
		if port != 99 {
			want = append(want, p)
		}
	}
	if _, err := g.Write(bufs, offset); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets written, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("packet %d is %x, want %x", i, got[i], want[i])
		}
	}
	got = nil
	refused := append(make([]byte, offset), planetest.UDP(planetest.B6, planetest.A6, 5000, 99)...)
	if n, err := g.Write([][]byte{refused}, offset); n != 0 || err != nil || got != nil {
		t.Errorf("a batch that is refused whole: wrote %d (%v), %v", n, err, got)
	}
}

// The real TUN of Linux wants 10 bytes before a packet, that of Darwin 4.
func TestAnswerLeavesHeadroom(t *testing.T) {
	answered := make(chan []byte, 1)
	dev := &script{packets: outbound(99), wrote: func(bufs [][]byte, at int) {
		if at < 10 || len(bufs) != 1 || len(bufs[0]) <= at {
			t.Errorf("written at offset %d, %d buffers", at, len(bufs))
		}
		answered <- bytes.Clone(bufs[0][at:])
	}}
	g := guarded(t, dev)
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	wait.Go(func() { g.answer(ctx) })
	bufs, sizes := buffers(1)
	if _, err := g.Read(bufs, sizes, offset); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; len(got) != 20+8+len(dev.packets[0]) || got[9] != byte(acl.ICMP) || got[20] != 3 || got[21] != 13 {
		t.Errorf("answered %x, want an ICMP message that quotes the packet", got)
	}
}

// Answers are limited, and their buffers come back.
func TestFloodOfRefusalsIsAnsweredWithinLimits(t *testing.T) {
	dev := &script{packets: outbound(99, 99, 99, 99)}
	g := guarded(t, dev)
	bufs, sizes := buffers(4)
	for range 1000 {
		if _, err := g.Read(bufs, sizes, offset); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(g.local.ready) + len(g.local.free); n != answersWaiting || len(g.local.ready) != answersWaiting {
		t.Errorf("%d answers wait, %d buffers are free; want %d in all", len(g.local.ready), len(g.local.free), answersWaiting)
	}
}

func TestBadReadsAreSurvivedForAWhile(t *testing.T) {
	dev := &script{err: errors.New("unsupported virtio GSO type: 7")}
	g := guarded(t, dev)
	bufs, sizes := buffers(1)
	for i := range maxBadReads {
		if _, err := g.Read(bufs, sizes, offset); err != nil {
			t.Fatalf("read %d failed: %v", i, err)
		}
	}
	if _, err := g.Read(bufs, sizes, offset); !errors.Is(err, dev.err) || !errors.Is(g.failure(), dev.err) {
		t.Errorf("read %d gave %v, failure %v; want an end", maxBadReads, err, g.failure())
	}
}

func TestGoodReadForgivesBadOnes(t *testing.T) {
	dev := &script{}
	g := guarded(t, dev)
	bufs, sizes := buffers(1)
	for i := range 3 * maxBadReads {
		dev.err = nil
		if i%2 == 0 {
			dev.err = errors.New("nonsense")
		}
		if _, err := g.Read(bufs, sizes, offset); err != nil {
			t.Fatalf("read %d failed: %v", i, err)
		}
	}
}

func TestDeadDeviceEndsAtOnce(t *testing.T) {
	for _, err := range []error{os.ErrClosed, io.EOF, fmt.Errorf("read tun: %w", os.NewSyscallError("read", syscall.EBADF))} {
		g := guarded(t, &script{err: err})
		bufs, sizes := buffers(1)
		if _, got := g.Read(bufs, sizes, offset); !errors.Is(got, err) || !errors.Is(g.failure(), err) {
			t.Errorf("%v: Read gave %v, failure %v", err, got, g.failure())
		}
	}
}

func TestTooManySegmentsIsNoFailure(t *testing.T) {
	dev := &script{packets: outbound(99), err: tun.ErrTooManySegments}
	g := guarded(t, dev)
	bufs, sizes := buffers(1)
	n, err := g.Read(bufs, sizes, offset)
	if n != 1 || sizes[0] != 0 || !errors.Is(err, tun.ErrTooManySegments) || g.failure() != nil {
		t.Errorf("Read gave %d (size %d), %v, failure %v; want the judged batch and the error", n, sizes[0], err, g.failure())
	}
}

// Invariant 13: our part of the packet path allocates nothing, refusals and
// their answers included.
func TestPacketPathAllocatesNothing(t *testing.T) {
	dev := &script{packets: outbound(53, 54, 55, 99)}
	g := guarded(t, dev)
	bufs, sizes := buffers(6) // two for answers to the peer
	var in [][]byte
	for _, p := range []uint16{53, 99, 54, 99} {
		in = append(in, append(make([]byte, offset), planetest.UDP(planetest.B4, planetest.A4, 5000, p)...))
	}
	batch := make([][]byte, len(in))
	round := func() {
		if _, err := g.Read(bufs, sizes, offset); err != nil {
			t.Fatal(err)
		}
		copy(batch, in)
		if _, err := g.Write(batch, offset); err != nil {
			t.Fatal(err)
		}
		select { // as the answering goroutine does
		case b := <-g.local.ready:
			g.local.free <- b[:0]
		default:
		}
	}
	round()
	if n := testing.AllocsPerRun(2000, round); n != 0 {
		t.Errorf("%v allocations per batch, want 0", n)
	}
}

// Write is called by one goroutine for each peer, Read by another.
func TestSeveralGoroutines(t *testing.T) {
	dev := &script{packets: outbound(53, 99)}
	g := guarded(t, dev)
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			p := append(make([]byte, offset), planetest.UDP(planetest.B4, planetest.A4, 5000+uint16(i), 53)...)
			for range 500 {
				if n, err := g.Write([][]byte{p}, offset); n != 1 || err != nil {
					t.Errorf("wrote %d, %v", n, err)
					return
				}
			}
		})
	}
	bufs, sizes := buffers(2)
	for range 500 {
		if _, err := g.Read(bufs, sizes, offset); err != nil || sizes[0] == 0 || sizes[1] != 0 {
			t.Fatalf("read %v, %v", sizes, err)
		}
	}
	wait.Wait()
}

func BenchmarkGuard(b *testing.B) {
	dev := &script{}
	for range 64 {
		dev.packets = append(dev.packets, outbound(53)...)
	}
	g := guarded(b, dev)
	bufs, sizes := buffers(64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Read(bufs, sizes, offset); err != nil {
			b.Fatal(err)
		}
		g.out.leave(len(bufs)) // sent, as it were
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/packet")
}

// answersTo counts the answers to reads that all happen at one moment.
func answersTo(t *testing.T, g *guard, rounds int) (n int) {
	t.Helper()
	moment := filter.At(time.Unix(1_800_000_000, 0))
	g.now = func() filter.Moment { return moment }
	bufs, sizes := buffers(8)
	for range rounds {
		if _, err := g.Read(bufs, sizes, offset); err != nil {
			t.Fatal(err)
		}
		for len(g.local.ready) > 0 {
			b := <-g.local.ready
			g.local.free <- b[:0]
			n++
		}
	}
	return n
}

func TestAnswersOfOneMomentAreLimited(t *testing.T) {
	g := guarded(t, &script{packets: outbound(99)})
	if n := answersTo(t, g, 1000); n != 100 {
		t.Errorf("%d answers to 1000 refused datagrams of one moment, want 100", n)
	}
}

// What cannot be answered takes no buffer away from what can.
func TestUnanswerableCostsNoBuffer(t *testing.T) {
	reset := planetest.TCP(planetest.A4, planetest.B4, 5000, 443, planetest.RST)
	dev := &script{packets: [][]byte{reset}}
	g := guarded(t, dev)
	if n := answersTo(t, g, 2*answersWaiting); n != 0 {
		t.Errorf("%d answers to resets", n)
	}
	dev.packets = outbound(99)
	if n := answersTo(t, g, 1); n != 1 {
		t.Errorf("%d answers to a datagram after many resets, want 1", n)
	}
}

// A source that is not this node's is nobody who waits for an answer.
func TestForeignSourcesAreNotAnswered(t *testing.T) {
	g := guarded(t, &script{packets: [][]byte{planetest.UDP(planetest.Far4, planetest.B4, 5000, 53)}})
	if n := answersTo(t, g, 3); n != 0 {
		t.Errorf("%d answers to a foreign source", n)
	}
}

func TestErrorsOfWireGuardAreLimited(t *testing.T) {
	var text bytes.Buffer
	log := logger(slog.New(slog.NewTextHandler(&text, nil)))
	for range 1000 {
		log.Errorf("no path to %s", "peer")
		log.Verbosef("not at this level")
	}
	if n := bytes.Count(text.Bytes(), []byte("\n")); n < 1 || n > 2*linesPerMinute {
		t.Errorf("%d lines in a moment, want about %d", n, linesPerMinute)
	}
}
