// Package planetest holds the one suite that every data plane must pass, and
// what a plane in this process needs to be tried in virtual time: an underlay
// in memory, a TUN in memory, and packets.
//
// The suite speaks of a [Pair]: two planes joined by some underlay, with the
// means to send a packet of each machine, to see what each machine is given, and
// to wait until nothing moves any more. So it asserts that a packet did *not*
// arrive without waiting for a time that a busy machine may exceed.
//
// Only tests import it. It knows no plane by name.
package planetest

import (
	"bytes"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Node is one end of a pair.
type Node struct {
	Plane plane.Plane
	Send  func(packets ...[]byte) // as one batch, as if this machine sent them
	Drain func() [][]byte         // what the machine was given since the last call
}

// Pair is two planes joined by an underlay on which the peers "n-a" and "n-b"
// reach each other.
type Pair struct {
	A, B  Node
	Now   func() time.Time    // policy time of both
	Pass  func(time.Duration) // lets policy time pass
	Still func()              // returns when nothing moves any more
}

// Lab makes a pair that denies everything, calls body with it, and ends it.
type Lab func(t *testing.T, body func(t *testing.T, p *Pair))

// world is the state of a pair as the suite configures it.
type world struct {
	*Pair
	t          *testing.T
	keyA, keyB key.TunnelPrivate
	rev        uint64
	a, b       plane.Config
}

const (
	classA acl.Class = 0xa
	classB acl.Class = 0xb
)

// newWorld configures both planes to know each other under the rules, each of
// which is enforced at both ends.
func newWorld(t *testing.T, p *Pair, rules ...acl.Rule) *world {
	t.Helper()
	w := &world{Pair: p, t: t, keyA: key.NewTunnel(), keyB: key.NewTunnel()}
	w.a = plane.Config{TunnelKey: w.keyA, Mesh: Ranges(), Self: selfOf(A4, A6, classA)}
	w.b = plane.Config{TunnelKey: w.keyB, Mesh: Ranges(), Self: selfOf(B4, B6, classB)}
	w.a.Peers = []plane.Peer{peerOf("n-b", w.keyB.Public(), B4, B6, classB)}
	w.b.Peers = []plane.Peer{peerOf("n-a", w.keyA.Public(), A4, A6, classA)}
	w.rule(rules...)
	return w
}

// rule makes the rules the only ones, at both ends.
func (w *world) rule(rules ...acl.Rule) {
	w.t.Helper()
	set := acl.RuleSet{In: rules, Out: rules}
	w.a.Rules, w.b.Rules = set, set
	w.apply()
}

// apply hands both planes the world as it is now.
func (w *world) apply() {
	w.t.Helper()
	w.rev++
	w.a.Revision, w.b.Revision = w.rev, w.rev
	for _, end := range []struct {
		p plane.Plane
		c plane.Config
	}{{w.A.Plane, w.a}, {w.B.Plane, w.b}} {
		if err := end.p.Configure(w.t.Context(), end.c); err != nil {
			w.t.Fatal(err)
		}
	}
}

// passes sends the packet from one node and asks that the other gets it as it is.
func (w *world) passes(what string, from, to Node, packet []byte) {
	w.t.Helper()
	if got := w.cross(from, to, packet); len(got) != 1 || !bytes.Equal(got[0], packet) {
		w.t.Errorf("%s: the other node got %d packets, want this one\n%s", what, len(got), w.draw())
	}
}

// refused sends the packet and asks that the other node gets nothing.
func (w *world) refused(what string, from, to Node, packet []byte) {
	w.t.Helper()
	if got := w.cross(from, to, packet); len(got) != 0 {
		w.t.Errorf("%s: the packet passed\n%s", what, w.draw())
	}
}

// cross sends the packet and gives what the other node got.
func (w *world) cross(from, to Node, packet []byte) [][]byte {
	to.Drain()
	from.Send(packet)
	w.Still()
	return to.Drain()
}

// open is a rule that opens services of b to a.
func open(id acl.RuleID, services ...acl.Service) acl.Rule {
	return acl.Rule{ID: id, Src: []acl.Class{classA}, Dst: []acl.Class{classB}, Open: services}
}

func service(p acl.Protocol, first, last uint16) acl.Service {
	return acl.Service{Protocol: p, First: first, Last: last}
}
