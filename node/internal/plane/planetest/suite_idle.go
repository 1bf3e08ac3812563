package planetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// both is a pair of rules that open one port to each node's other.
func both(port uint16) []acl.Rule {
	open := []acl.Service{service(acl.UDP, port, port)}
	return []acl.Rule{
		{ID: "there", Src: []acl.Class{classA}, Dst: []acl.Class{classB}, Open: open},
		{ID: "back", Src: []acl.Class{classB}, Dst: []acl.Class{classA}, Open: open},
	}
}

// bare asks that neither plane pays for a peer.
func (w *world) bare(when string) {
	w.t.Helper()
	for name, p := range map[string]plane.Plane{"A": w.A.Plane, "B": w.B.Plane} {
		if n := stats(w.t, p).Tunnels; n != 0 {
			w.t.Errorf("%s: %s pays for %d peers, want none", when, name, n)
		}
	}
}

// Only what the rules permit brings a peer in, and the first packet that does is
// not lost.
func peersCome(t *testing.T, p *Pair) {
	w := newWorld(t, p, both(53)...)
	w.bare("before any packet")
	w.refused("another port", p.A, p.B, UDP(A4, B4, 5000, 54))
	w.refused("another port", p.B, p.A, TCP(B6, A6, 5000, 53, SYN))
	w.refused("nobody's address", p.A, p.B, UDP(A4, Nobody4, 5000, 53))
	w.refused("no packet at all", p.A, p.B, []byte("garbage that is no packet, and longer than any header of one"))
	w.bare("after refusals")
	if n := len(stats(t, p.A.Plane).Peers); n != 1 {
		t.Errorf("A tells of %d peers, want the one of its map", n)
	}
	p.B.Drain()
	batch := [][]byte{UDP(A4, B4, 5000, 53), UDP(A4, B4, 5000, 54), UDP(A6, B6, 5001, 53), UDP(A4, B4, 5000, 53)}
	p.A.Send(batch...)
	p.A.Send(UDP(A4, B4, 5002, 53))
	p.Still()
	want := [][]byte{batch[0], batch[2], batch[3], UDP(A4, B4, 5002, 53)}
	if got := p.B.Drain(); fmt.Sprintf("%x", got) != fmt.Sprintf("%x", want) {
		t.Errorf("the first packets arrived as\n%x, want\n%x", got, want)
	}
}

// A peer that nothing is carried for is given up, and what it did is remembered.
func peersGo(t *testing.T, p *Pair) {
	w := newWorld(t, p, both(53)...)
	w.passes("the first packet", p.A, p.B, UDP(A4, B4, 5000, 53))
	before := stats(t, p.A.Plane).Peers[0]
	p.Pass(5 * time.Minute)
	w.bare("after five minutes of silence")
	after := stats(t, p.A.Plane).Peers[0]
	if after.ID != "n-b" || after.Sent < before.Sent || after.Received < before.Received || after.LastHandshake.Before(before.LastHandshake) || before.LastHandshake.IsZero() {
		t.Errorf("A knows %+v of its peer, and knew %+v before", after, before)
	}
	w.passes("the other one begins", p.B, p.A, UDP(B4, A4, 5000, 53))
	if again := stats(t, p.A.Plane).Peers[0]; again.Received <= after.Received || !again.LastHandshake.After(after.LastHandshake) {
		t.Errorf("A knows %+v of its peer after more, and knew %+v before", again, after)
	}
	p.Pass(5 * time.Minute)
	route := Address("10.7.0.9").Host()
	w.b.Peers[0].Allowed = append(w.b.Peers[0].Allowed[:1:1], route)
	w.b.Peers[0].Prefixes = append(w.b.Peers[0].Prefixes, acl.PrefixClass{Prefix: route, Class: classA})
	w.a.Self.Prefixes = append(w.a.Self.Prefixes, acl.PrefixClass{Prefix: route, Class: classA})
	w.apply()
	w.bare("after a change about an idle peer")
	w.passes("from an address that came meanwhile", p.A, p.B, UDP("10.7.0.9", B4, 5000, 53))
	w.refused("from one that went", p.A, p.B, UDP(A6, B6, 5000, 53))
}

// Whoever speaks first after whatever silence is heard at once, whether the other
// end has given up its peer by then, or not, or both have.
func silences(t *testing.T, p *Pair) {
	w := newWorld(t, p, both(53)...)
	var seen [2][2]int
	for s, odd := 150*time.Second, false; s < 260*time.Second; s, odd = s+700*time.Millisecond, !odd {
		from, to, packet := p.A, p.B, UDP(A4, B4, 5000, 53)
		if odd {
			from, to, packet = p.B, p.A, UDP(B4, A4, 5000, 53)
		}
		w.passes(fmt.Sprintf("after %s", s), from, to, packet)
		p.Pass(s)
		seen[min(1, stats(t, p.A.Plane).Tunnels)][min(1, stats(t, p.B.Plane).Tunnels)]++
	}
	t.Logf("after a silence neither had the other %d times, B alone %d, A alone %d, both %d", seen[0][0], seen[0][1], seen[1][0], seen[1][1])
}
