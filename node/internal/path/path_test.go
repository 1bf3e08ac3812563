package path_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

const ms = time.Millisecond

var nowhere = netip.MustParseAddrPort("203.0.113.99:9")

// world is an internet with two nodes; a failing test draws its packets.
type world struct {
	*pathtest.Internet
	t    *testing.T
	a, b *pathtest.Node
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{Internet: pathtest.New(seed), t: t}
	w.a, w.b = w.Node("a"), w.Node("b")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("packets:\n%s", w.Trace())
		}
	})
	return w
}

// public gives both a public interface and has them meet by it.
func public(t *testing.T, seed uint64) (w *world, a, b *pathtest.NIC) {
	w = newWorld(t, seed)
	a, b = w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2")
	w.a.Meet(w.b.Peer(b.Addr()))
	w.b.Meet(w.a.Peer(a.Addr()))
	return w, a, b
}

// expect lets time pass until a's path to b leads to want, and returns how long
// it took.
func (w *world) expect(d time.Duration, want netip.AddrPort) time.Duration {
	w.t.Helper()
	start := w.Now()
	if !w.RunUntil(d, func() bool { return w.a.At("b") == want }) {
		w.t.Fatalf("after %v the path leads to %v, want %v (%+v)", d, w.a.At("b"), want, w.a.Set.Info("b"))
	}
	return w.Now().Sub(start)
}

func TestWantingToSendFindsThePathInOneRoundTripBothWays(t *testing.T) {
	w, a, b := public(t, 1)
	w.Run(time.Minute)
	if w.a.Asked+w.b.Asked != 0 {
		t.Error("probes although nobody wanted to send")
	}
	w.a.Want("b")
	if took := w.expect(time.Second, b.Addr()); took != 20*ms {
		t.Errorf("took %v, want one round trip of 20 ms", took)
	}
	w.Run(20 * ms)
	if w.b.At("a") != a.Addr() {
		t.Errorf("b's path leads to %v: the request of a did not make b ask back", w.b.At("a"))
	}
	in := w.a.Set.Info("b")
	if in.RTT != 20*ms || in.Why != "" || in.Endpoint != b.Addr() {
		t.Errorf("info = %+v", in)
	}
	if seen := w.a.Set.Sights("b", w.Now().Add(-time.Second)); len(seen) != 1 || seen[0] != (path.Sight{Endpoint: b.Addr(), Mapped: a.Addr()}) {
		t.Errorf("sights = %+v", seen)
	}
}

func TestIdlePathIsLetGoAndBothEndsFallSilent(t *testing.T) {
	for _, delay := range []time.Duration{10 * ms, 100 * ms} {
		w, a, b := public(t, 1)
		w.Connect(a, b, pathtest.Link{Delay: delay})
		w.a.Want("b")
		w.Run(190 * time.Second)
		if !w.a.At("b").IsValid() {
			t.Fatal("path gone while WireGuard may still use it")
		}
		w.Run(200 * time.Second)
		if w.a.At("b").IsValid() || w.b.At("a").IsValid() {
			t.Fatal("idle path is kept for ever")
		}
		if in := w.a.Set.Info("b"); in.Why != path.WhyIdle {
			t.Errorf("why = %q", in.Why)
		}
		asked := w.a.Asked + w.b.Asked
		w.Run(time.Hour)
		if n := w.a.Asked + w.b.Asked - asked; n != 0 {
			t.Errorf("%d probes in an hour between nodes that have nothing to say", n)
		}
		if !w.a.Set.Next().IsZero() {
			t.Error("a sleeping set still has a deadline")
		}
	}
}

func TestEndThatOnlyListensKeepsItsPath(t *testing.T) {
	w, a, _ := public(t, 1)
	w.a.Stream("b", 100*ms, 10*time.Minute)
	w.Run(10 * time.Minute)
	if w.b.Moves != 1 || w.b.At("a") != a.Addr() {
		t.Errorf("%d moves of b, which leads to %v", w.b.Moves, w.b.At("a"))
	}
	if w.b.Asked > 75 {
		t.Errorf("b, which has nothing to send, probed %d times in 10 minutes", w.b.Asked)
	}
}

func TestAddressThatWorkedIsRememberedAsleep(t *testing.T) {
	w, a, _ := public(t, 1)
	w.b.Meet(w.a.Peer()) // b learns a's address from a's requests
	w.a.Want("b")
	w.Run(10 * time.Minute)
	if w.b.At("a").IsValid() {
		t.Fatal("b is not asleep; the test tests nothing")
	}
	w.b.Want("a")
	w.Run(100 * ms)
	if w.b.At("a") != a.Addr() {
		t.Error("b has forgotten where it reached a")
	}
}

func TestQuietPathKeepsNATMappingsOpen(t *testing.T) {
	w := newWorld(t, 1)
	nat := w.NAT("home", "192.0.2.1", pathtest.HomeRouter())
	w.a.Private("home", "10.0.0.2", nat)
	b := w.b.Public("198.51.100.2")
	w.a.Meet(w.b.Peer(b.Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Want("b")
	w.Run(180 * time.Second)
	// b, which could never have reached a first, sends now.
	w.b.Stream("a", 100*ms, time.Second)
	w.Run(100 * ms)
	if w.a.Received == 0 {
		t.Error("the mapping died although the path was kept")
	}
	if w.a.Asked > 30 {
		t.Errorf("%d probes in 3 quiet minutes", w.a.Asked)
	}
}

func TestSearchBacksOff(t *testing.T) {
	w := newWorld(t, 1)
	w.a.Public("198.51.100.1")
	w.a.Meet(w.b.Peer(nowhere))
	w.a.Stream("b", 500*ms, 10*time.Minute)
	w.Run(10 * time.Minute)
	if w.a.Unanswered < 42 || w.a.Unanswered > 48 {
		t.Errorf("%d searches in ten minutes, want one in 14 s after the first few", w.a.Unanswered)
	}
	if w.a.Asked != 4*w.a.Unanswered && w.a.Asked != 4*w.a.Unanswered+4 {
		t.Errorf("%d probes in %d searches of one address, want 4 each", w.a.Asked, w.a.Unanswered)
	}
	// A new wish after silence is searched for at once.
	w.Run(15 * time.Second)
	searches := w.a.Unanswered
	w.RunUntil(time.Minute, func() bool { return w.a.Unanswered > searches })
	before := w.a.Asked
	w.a.Want("b")
	w.Run(10 * ms)
	if w.a.Asked == before {
		t.Error("a new wish waits for the back-off of an old one")
	}
}

// TestPeerThatHearsOfUsAMomentLateIsReachedSoon: a node that joins speaks before
// the coordinator has told its peers of it.
func TestPeerThatHearsOfUsAMomentLateIsReachedSoon(t *testing.T) {
	w, a, _ := public(t, 1)
	w.b.Meet()
	w.a.Stream("b", 5*ms, time.Second)
	w.Run(20 * ms)
	w.b.Meet(w.a.Peer(a.Addr()))
	if !w.RunUntil(79*ms, func() bool { return w.b.Received > 0 }) {
		t.Errorf("nothing arrived within 100 ms: %+v", w.a.Set.Info("b"))
	}
}

func TestNewCandidateIsTriedAtOnce(t *testing.T) {
	w, _, b := public(t, 1)
	w.a.Meet(w.b.Peer(nowhere))
	w.a.Want("b")
	w.Run(6 * time.Second)
	w.a.Set.SetCandidates(w.Now(), "b", []netip.AddrPort{nowhere, b.Addr()})
	w.expect(100*ms, b.Addr())
}

func TestCandidateThatIsNamedNoMoreIsKeptWhileItWorks(t *testing.T) {
	w, a, b := public(t, 1)
	w.a.Stream("b", 100*ms, time.Hour)
	w.expect(time.Second, b.Addr())
	w.a.Set.SetCandidates(w.Now(), "b", nil)
	w.Run(30 * time.Second)
	if w.a.Moves != 1 {
		t.Fatal("working path was dropped")
	}
	w.Connect(a, b, pathtest.Link{Cut: true})
	w.expect(3*time.Second, netip.AddrPort{})
	w.Run(time.Minute)
	if n := w.a.Set.Info("b").Candidates; n != 0 {
		t.Errorf("%d dead addresses are kept that nobody names", n)
	}
}

func TestRemovedPeerLosesItsPath(t *testing.T) {
	w, _, b := public(t, 1)
	w.a.Want("b")
	w.expect(time.Second, b.Addr())
	w.a.Meet()
	if w.a.At("b").IsValid() {
		t.Error("path outlives its peer")
	}
	if in := w.a.Set.Info("b"); in.Why != path.WhyUnknown {
		t.Errorf("why = %q", in.Why)
	}
	replied := w.a.Replied
	w.b.Want("a")
	w.Run(10 * time.Second)
	if w.a.Replied != replied {
		t.Error("a node that is not in the map gets replies")
	}
}

func TestPeerWithAnotherKeyStartsAnew(t *testing.T) {
	w, _, b := public(t, 1)
	w.a.Want("b")
	w.expect(time.Second, b.Addr())
	impostor := w.Node("c").Peer(b.Addr())
	impostor.ID = "b"
	w.a.Meet(impostor)
	if w.a.At("b").IsValid() {
		t.Fatal("the path of the old key serves the new one")
	}
	w.a.Want("b")
	w.Run(10 * time.Second)
	if w.a.At("b").IsValid() {
		t.Error("an answer under the old key made a path")
	}
}

func TestPeersThatCannotBeToldApartAreNamed(t *testing.T) {
	w, _, b := public(t, 1)
	twin := w.b.Peer(b.Addr())
	twin.ID = "twin"
	if err := w.a.Set.SetPeers(w.Now(), []path.Peer{w.b.Peer(b.Addr()), twin}); err == nil {
		t.Fatal("no error")
	}
	w.a.Want("b")
	w.expect(time.Second, b.Addr())
	if err := w.a.Set.SetPeers(w.Now(), []path.Peer{w.a.Peer()}); err == nil {
		t.Error("a node is its own peer")
	}
}

func TestPingAsksNow(t *testing.T) {
	w, a, b := public(t, 1)
	w.a.Want("b")
	w.Run(40 * time.Second)
	asked := w.a.Asked
	w.a.Ping("b")
	w.Run(ms)
	if w.a.Asked != asked+1 {
		t.Errorf("%d probes, want 1", w.a.Asked-asked)
	}
	w.Run(1300 * ms) // probed every second, 300 ms ago
	asked = w.a.Asked
	w.a.Ping("b")
	w.Run(ms)
	if w.a.Asked != asked+1 {
		t.Error("ping waits for the next planned probe")
	}
	w.Run(time.Second)
	if in := w.a.Set.Info("b"); w.Now().Sub(in.LastAnswer) > 2*time.Second {
		t.Error("no answer")
	}
	w.Connect(a, b, pathtest.Link{Cut: true})
	w.a.Set.Ping(w.Now(), "stranger")
	if acts := w.a.Set.Take(); len(acts) != 1 || acts[0].Do != path.Unanswered {
		t.Errorf("ping of a stranger: %+v", acts)
	}
}

func TestInfoSaysWhyThereIsNoPath(t *testing.T) {
	w, _, b := public(t, 1)
	w.b.Meet()
	check := func(want string) {
		t.Helper()
		if in := w.a.Set.Info("b"); in.Why != want || in.Endpoint.IsValid() {
			t.Errorf("info = %+v, want why %q", in, want)
		}
	}
	check(path.WhyIdle)
	w.a.Want("b")
	check(path.WhySearching)
	w.Run(4 * time.Second)
	check(path.WhyNoAnswer)
	w.a.Meet(w.b.Peer())
	w.Run(10 * time.Second)
	check(path.WhyNoCandidates)
	_ = b
}
