package netstack_test

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/netstack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should come at once. It is long:
// it ends a test that has failed, and says nothing about speed.
const patience = 60 * time.Second

var (
	a4 = netip.MustParseAddr("100.64.0.1")
	a6 = netip.MustParseAddr("fd00:c0de::1")
	b4 = netip.MustParseAddr("100.64.0.2")
	b6 = netip.MustParseAddr("fd00:c0de::2")
)

// verdict stands where a node's filter stands: it lets a packet pass, or drops
// it and may answer the sender.
type verdict func(packet []byte) (pass bool, answer []byte)

// link is two stacks, the device of each leading into the other's.
type link struct {
	a, b *netstack.Stack

	mu     sync.Mutex
	judge  verdict // of packets from a
	byFrom [2]int  // packets seen from a and from b
	large  int     // the largest packet seen
}

func newLink(t testing.TB, mtu int) *link {
	t.Helper()
	l := new(link)
	l.a = newStack(t, netstack.Config{Addresses: []netip.Addr{a4, a6}, MTU: mtu})
	l.b = newStack(t, netstack.Config{Addresses: []netip.Addr{b4, b6}, MTU: mtu})
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(l.a, l.b, 0) })
	pumps.Go(func() { l.pump(l.b, l.a, 1) })
	t.Cleanup(func() {
		l.a.Close()
		l.b.Close()
		pumps.Wait()
	})
	return l
}

func newStack(t testing.TB, c netstack.Config) *netstack.Stack {
	t.Helper()
	s, err := netstack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// offset is the headroom that WireGuard keeps before each packet.
const offset = 16

func (l *link) pump(from, to *netstack.Stack, side int) {
	in, out := from.Device(), to.Device()
	bufs, sizes := make([][]byte, in.BatchSize()), make([]int, in.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, offset+65_535)
	}
	batch := make([][]byte, 0, len(bufs))
	for {
		n, err := in.Read(bufs, sizes, offset)
		if err != nil {
			return
		}
		batch = batch[:0]
		for i := range n {
			p := bufs[i][:offset+sizes[i]]
			pass, answer := l.see(side, p[offset:])
			if answer != nil {
				in.Write([][]byte{append(make([]byte, offset), answer...)}, offset)
			}
			if pass {
				batch = append(batch, p)
			}
		}
		if len(batch) > 0 {
			out.Write(batch, offset)
		}
	}
}

func (l *link) see(side int, packet []byte) (bool, []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byFrom[side]++
	l.large = max(l.large, len(packet))
	if side == 0 && l.judge != nil {
		return l.judge(packet)
	}
	return true, nil
}

func (l *link) setJudge(v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judge = v
}

func (l *link) seen() (fromA, fromB, largest int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byFrom[0], l.byFrom[1], l.large
}

func withPatience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func listen(t testing.TB, s *netstack.Stack, at netip.AddrPort) net.Listener {
	t.Helper()
	ln, err := s.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// background runs f until the test ends, and fails the test if f failed.
func background(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("background: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// echo answers every connection of ln with what it sent.
func echo(ln net.Listener) func(context.Context) error {
	return func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		var conns sync.WaitGroup
		defer conns.Wait()
		for {
			c, err := ln.Accept()
			if err != nil {
				return nil
			}
			conns.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				buf := make([]byte, 32<<10)
				for {
					n, err := c.Read(buf)
					if n > 0 {
						if _, err := c.Write(buf[:n]); err != nil {
							return
						}
					}
					if err != nil {
						return
					}
				}
			})
		}
	}
}

func join(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }
