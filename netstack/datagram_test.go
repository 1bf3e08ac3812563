package netstack_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/netstack"
)

// packetLink is a.ForwardPacket to b.ExposePacket to an echo on this machine.
func packetLink(t *testing.T, limits netstack.Limits) (l *link, entry string) {
	t.Helper()
	l = newLink(t, 0)
	service, in := loopbackPacket(t), loopbackPacket(t)
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := service.ReadFrom(buf)
			if err != nil {
				return
			}
			service.WriteTo(append([]byte("re: "), buf[:n]...), from)
		}
	}()
	background(t, func(ctx context.Context) error {
		return l.b.ExposePacket(ctx, netip.AddrPortFrom(netip.Addr{}, 514), service.LocalAddr().String(), netstack.Limits{})
	})
	background(t, func(ctx context.Context) error {
		return l.a.ForwardPacket(ctx, in, join(b6, 514), limits)
	})
	return l, in.LocalAddr().String()
}

func loopbackPacket(t *testing.T) net.PacketConn {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc
}

// ask sends q from a socket of its own until an answer comes: the first may be
// refused, as ExposePacket listens on its own goroutine.
func ask(t *testing.T, entry, q string, patience time.Duration) (string, bool) {
	t.Helper()
	c, err := net.Dial("udp", entry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	buf := make([]byte, 100)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		c.Write([]byte(q))
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := c.Read(buf); err == nil {
			return string(buf[:n]), true
		}
	}
	return "", false
}

func TestDatagramsFindTheirAsker(t *testing.T) {
	_, entry := packetLink(t, netstack.Limits{})
	for _, q := range []string{"one", "two", "three"} {
		if got, ok := ask(t, entry, q, patience); !ok || got != "re: "+q {
			t.Errorf("%s is answered with %q", q, got)
		}
	}
}

func TestForwardPacketKeepsItsLimit(t *testing.T) {
	_, entry := packetLink(t, netstack.Limits{Conns: 1})
	if _, ok := ask(t, entry, "first", patience); !ok {
		t.Fatal("the first got no answer")
	}
	if got, ok := ask(t, entry, "second", 200*time.Millisecond); ok {
		t.Errorf("one more than the limit was answered with %q", got)
	}
}

// Once somebody was silent long enough, the place is free for another.
func TestForwardPacketForgetsTheSilent(t *testing.T) {
	_, entry := packetLink(t, netstack.Limits{Conns: 1, Idle: 500 * time.Millisecond})
	for _, q := range []string{"first", "second"} {
		if _, ok := ask(t, entry, q, patience); !ok {
			t.Errorf("the %s got no answer", q)
		}
	}
}
