package pathtest_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// TestKindsOfNAT checks the simulated NATs against RFC 4787's definitions: who
// may answer through a mapping, and how long.
func TestKindsOfNAT(t *testing.T) {
	for _, tt := range []struct {
		kind                 pathtest.Behaviour
		stranger, sameSource bool // may a stranger send in; do two destinations see one source
	}{
		{pathtest.FullCone(), true, true},
		{pathtest.HomeRouter(), false, true},
		{pathtest.Symmetric(), false, false},
	} {
		net := pathtest.New(1)
		inner, b, c := net.Node("inner"), net.Node("b"), net.Node("c")
		inner.Private("home", "10.0.0.2", net.NAT("home", "192.0.2.1", tt.kind))
		toB, toC := b.Public("198.51.100.2").Addr(), c.Public("198.51.100.3").Addr()

		inner.Send(toB, []byte("x"))
		net.Run(time.Second)
		mapped := b.LastFrom.Addr
		c.Send(mapped, []byte("x"))
		net.Run(time.Second)
		if got := inner.Received == 1; got != tt.stranger {
			t.Errorf("%s: a stranger gets in: %v", tt.kind.Name, got)
		}
		before := inner.Received
		b.Send(mapped, []byte("x"))
		net.Run(time.Second)
		if inner.Received != before+1 {
			t.Errorf("%s: the one who was sent to does not get in", tt.kind.Name)
		}
		inner.Send(toC, []byte("x"))
		net.Run(time.Second)
		if got := c.LastFrom.Addr == mapped; got != tt.sameSource {
			t.Errorf("%s: two destinations see one source: %v", tt.kind.Name, got)
		}
		net.Run(time.Minute)
		before = inner.Received
		b.Send(mapped, []byte("x"))
		net.Run(time.Second)
		if inner.Received != before {
			t.Errorf("%s: a mapping outlives its minute", tt.kind.Name)
		}
	}
}

func TestSameSeedSameRun(t *testing.T) {
	run := func() string {
		net := pathtest.New(7)
		a, b := net.Node("a"), net.Node("b")
		x, y := a.Public("198.51.100.1"), b.Public("198.51.100.2")
		net.Connect(x, y, pathtest.Link{Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.2})
		a.Meet(b.Peer(y.Addr()))
		b.Meet(a.Peer([]netip.AddrPort{x.Addr()}...))
		a.Stream("b", 100*time.Millisecond, 10*time.Second)
		net.Run(10 * time.Second)
		return net.Trace()
	}
	if first, second := run(), run(); first != second {
		t.Error("two runs of one seed differ")
	}
}
