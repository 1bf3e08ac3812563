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
	if !w.RunUntil(d, func() bool { return w.a.Paths["b"] == want }) {
		w.t.Fatalf("after %v the path leads to %v, want %v (%+v)", d, w.a.Paths["b"], want, w.a.Set.Info("b"))
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
	if w.b.Paths["a"] != a.Addr() {
		t.Errorf("b's path leads to %v: the request of a did not make b ask back", w.b.Paths["a"])
	}
	in := w.a.Set.Info("b")
	if in.RTT != 20*ms || in.Mapped != a.Addr() || in.Why != "" || in.Endpoint != b.Addr() {
		t.Errorf("info = %+v", in)
	}
}

func TestIdlePathIsLetGoAndBothEndsFallSilent(t *testing.T) {
	for _, delay := range []time.Duration{10 * ms, 100 * ms} {
		w, a, b := public(t, 1)
		w.Connect(a, b, pathtest.Link{Delay: delay})
		w.a.Want("b")
		w.Run(190 * time.Second)
		if !w.a.Paths["b"].IsValid() {
			t.Fatal("path gone while WireGuard may still use it")
		}
		w.Run(200 * time.Second)
		if w.a.Paths["b"].IsValid() || w.b.Paths["a"].IsValid() {
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

func TestAddressThatWorkedIsRememberedAsleep(t *testing.T) {
	w, a, _ := public(t, 1)
	w.b.Meet(w.a.Peer()) // b learns a's address from a's requests
	w.a.Want("b")
	w.Run(10 * time.Minute)
	if w.b.Paths["a"].IsValid() {
		t.Fatal("b is not asleep; the test tests nothing")
	}
	w.b.Want("a")
	w.Run(100 * ms)
	if w.b.Paths["a"] != a.Addr() {
		t.Error("b has forgotten where it reached a")
	}
}

func TestQuietPathKeepsNATMappingsOpen(t *testing.T) {
	w := newWorld(t, 1)
	nat := w.NAT("home", "192.0.2.1", pathtest.PortRestricted)
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

func TestSilentDeathUnderTrafficIsNoticedWithinSeconds(t *testing.T) {
	for seed := range uint64(20) {
		w, a, b := public(t, seed)
		w.a.Stream("b", 10*ms, time.Hour)
		w.Run(5*time.Second + time.Duration(seed)*53*ms)
		w.Connect(a, b, pathtest.Link{Cut: true})
		took := w.expect(10*time.Second, netip.AddrPort{})
		if took > 2*time.Second {
			t.Errorf("seed %d: death noticed after %v, want at most 2 s", seed, took)
		}
		if in := w.a.Set.Info("b"); in.Why != path.WhyLost {
			t.Errorf("why = %q", in.Why)
		}
		w.Run(30 * time.Second)
		if in := w.a.Set.Info("b"); in.Why != path.WhyNoAnswer && in.Why != path.WhySearching {
			t.Errorf("why = %q", in.Why)
		}
		w.Connect(a, b, pathtest.Link{Delay: ms})
		w.expect(31*time.Second, b.Addr())
	}
}

func TestLossyPathIsKept(t *testing.T) {
	w, a, b := public(t, 7)
	w.Connect(a, b, pathtest.Link{Delay: 20 * ms, Jitter: 10 * ms, Loss: 0.05})
	w.a.Stream("b", 50*ms, time.Hour)
	w.b.Stream("a", 50*ms, time.Hour)
	w.Run(10 * time.Minute)
	if w.a.Moves > 1 || w.b.Moves > 1 {
		t.Errorf("moves: a %d, b %d; 5%% loss is no reason to give a path up", w.a.Moves, w.b.Moves)
	}
}

func TestSearchBacksOff(t *testing.T) {
	w := newWorld(t, 1)
	w.a.Public("198.51.100.1")
	w.a.Meet(w.b.Peer(nowhere))
	w.a.Stream("b", 500*ms, 10*time.Minute)
	w.Run(10 * time.Minute)
	if w.a.Unanswered < 10 || w.a.Unanswered > 25 {
		t.Errorf("%d searches in ten minutes, want about one in 34 s after the first few", w.a.Unanswered)
	}
	if w.a.Asked != 4*w.a.Unanswered && w.a.Asked != 4*w.a.Unanswered+4 {
		t.Errorf("%d probes in %d searches of one address, want 4 each", w.a.Asked, w.a.Unanswered)
	}
	// A new wish after silence is searched for at once.
	w.Run(15 * time.Second)
	before := w.a.Asked
	w.a.Want("b")
	w.Run(10 * ms)
	if w.a.Asked == before {
		t.Error("a new wish waits for the back-off of an old one")
	}
}

func TestBetterPathTakesOverAndAnEqualOneDoesNot(t *testing.T) {
	w := newWorld(t, 1)
	nat := w.NAT("ward", "192.0.2.1", pathtest.Open)
	aLAN := w.a.Private("ward", "10.0.0.2", nat)
	bLAN, slow := w.b.Private("ward", "10.0.0.3", nat), w.b.Public("198.51.100.2")
	w.Connect(aLAN, slow, pathtest.Link{Delay: 15 * ms})
	w.Connect(aLAN, bLAN, pathtest.Link{Cut: true})
	w.a.Meet(w.b.Peer(slow.Addr(), bLAN.Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 100*ms, time.Hour)
	w.expect(time.Second, slow.Addr())

	w.Connect(aLAN, bLAN, pathtest.Link{Delay: ms})
	w.expect(61*time.Second, bLAN.Addr())

	// The other way costs as much now, and is not local: stay.
	w.Connect(aLAN, slow, pathtest.Link{Delay: ms})
	moves := w.a.Moves
	w.Run(5 * time.Minute)
	if w.a.Moves != moves {
		t.Errorf("moved %d times between equals", w.a.Moves-moves)
	}
}

func TestLocalPathIsPreferredToAnEqualOne(t *testing.T) {
	w := newWorld(t, 1)
	aLAN := w.a.Private("ward", "10.0.0.2", w.NAT("ward", "192.0.2.1", pathtest.Open))
	bLAN, other := w.b.Private("ward", "10.0.0.3", nil), w.b.Public("198.51.100.2")
	w.Connect(aLAN, bLAN, pathtest.Link{Delay: 4800 * time.Microsecond})
	w.Connect(aLAN, other, pathtest.Link{Delay: 4100 * time.Microsecond})
	w.a.Meet(w.b.Peer(other.Addr(), bLAN.Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 100*ms, time.Minute)
	w.Run(time.Second)
	if w.a.Paths["b"] != bLAN.Addr() {
		t.Errorf("path leads to %v, want %v, which stays in the building", w.a.Paths["b"], bLAN.Addr())
	}
}

func TestOtherAddressTakesOverWhenThePathDies(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		a := w.a.Public("198.51.100.1")
		b1, b2 := w.b.Public("198.51.100.2"), w.b.Public("198.51.100.3")
		w.Connect(a, b2, pathtest.Link{Delay: 30 * ms})
		w.a.Meet(w.b.Peer(b1.Addr(), b2.Addr()))
		w.b.Meet(w.a.Peer(a.Addr()))
		w.a.Stream("b", 10*ms, time.Hour)
		w.expect(time.Second, b1.Addr())
		w.Run(3*time.Second + time.Duration(seed)*53*ms)
		w.Connect(a, b1, pathtest.Link{Cut: true})
		if took := w.expect(5*time.Second, b2.Addr()); took > 1500*ms {
			t.Errorf("seed %d: took over after %v, want at most 1.5 s", seed, took)
		}
	}
}

func TestRebootedNATIsRecoveredFrom(t *testing.T) {
	for _, kind := range []pathtest.Kind{pathtest.Open, pathtest.PortRestricted, pathtest.Symmetric} {
		w := newWorld(t, uint64(kind))
		nat := w.NAT("home", "192.0.2.1", kind)
		w.a.Private("home", "10.0.0.2", nat)
		b := w.b.Public("198.51.100.2")
		w.a.Meet(w.b.Peer(b.Addr()))
		w.b.Meet(w.a.Peer())
		w.a.Stream("b", 20*ms, time.Hour)
		w.b.Stream("a", 20*ms, time.Hour)
		w.Run(10 * time.Second)
		nat.Reboot()
		rebooted, count := w.Now(), w.a.Received
		if !w.RunUntil(10*time.Second, func() bool { return w.a.Received > count+5 }) {
			t.Fatalf("NAT kind %d: b never reaches a again", kind)
		}
		if hole := w.Now().Sub(rebooted); hole > 2*time.Second {
			t.Errorf("NAT kind %d: black hole of %v, want at most 2 s", kind, hole)
		}
	}
}

func TestQuietEndFollowsAPeerThatMoved(t *testing.T) {
	w := newWorld(t, 1)
	w.Default.Delay = 200 * ms
	nat := w.NAT("home", "192.0.2.1", pathtest.Open)
	w.a.Private("home", "10.0.0.2", nat)
	w.a.Meet(w.b.Peer(w.b.Public("198.51.100.2").Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 100*ms, time.Hour)
	w.Run(time.Second)
	w.b.Want("a")
	w.Run(time.Minute)
	old := w.b.Paths["a"]
	nat.Reboot()
	if !w.RunUntil(2*time.Second, func() bool { return w.b.Set.Info("a").Candidates == 2 }) {
		t.Fatal("b does not hear of the new address; the test tests nothing")
	}
	heard := w.Now()
	if !w.RunUntil(time.Minute, func() bool { return w.b.Paths["a"] != old }) {
		t.Fatal("b stays with the old address")
	}
	// Two misses of the old address, of twice the round trip of 400 ms each.
	if took := w.Now().Sub(heard); took > 1610*ms || !w.b.Paths["a"].IsValid() {
		t.Errorf("b moved to %v after %v, want 1.6 s", w.b.Paths["a"], took)
	}
}

func TestNewAddressOfThisNodeIsFollowed(t *testing.T) {
	w, a, _ := public(t, 3)
	w.a.Stream("b", 20*ms, time.Hour)
	w.b.Stream("a", 20*ms, time.Hour)
	w.Run(5 * time.Second)
	a.SetAddr("198.51.100.77")
	w.a.NetworkChanged()
	if !w.RunUntil(3*time.Second, func() bool { return w.b.Paths["a"] == a.Addr() }) {
		t.Fatalf("b still sends to %v", w.b.Paths["a"])
	}
}

func TestChangeOfNetworkMovesADeadPathAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	a, b1, b2 := w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2"), w.b.Public("198.51.100.3")
	w.Connect(a, b2, pathtest.Link{Delay: 30 * ms})
	w.a.Meet(w.b.Peer(b1.Addr(), b2.Addr()))
	w.b.Meet(w.a.Peer(a.Addr()))
	w.a.Want("b")
	w.expect(time.Second, b1.Addr())
	w.Run(30*time.Second + 500*ms) // quiet: the next probe is far
	w.Connect(a, b1, pathtest.Link{Cut: true})
	w.a.NetworkChanged()
	if took := w.expect(10*time.Second, b2.Addr()); took > 151*ms {
		t.Errorf("took %v, want one miss of 150 ms, as the other address answers meanwhile", took)
	}
}

func TestDeathIsNoticedWhenTrafficResumes(t *testing.T) {
	w, a, b := public(t, 1)
	w.a.Want("b")
	w.Run(41 * time.Second)
	w.Connect(a, b, pathtest.Link{Cut: true})
	w.a.Stream("b", 10*ms, time.Minute)
	if took := w.expect(time.Minute, netip.AddrPort{}); took > time.Second {
		t.Errorf("took %v: a path that was quiet is not probed when it is used again", took)
	}
}

func TestLostPathIsSearchedForWithoutANewWish(t *testing.T) {
	w, a, b := public(t, 1)
	w.a.Want("b")
	w.Run(5 * time.Second)
	w.Connect(a, b, pathtest.Link{Cut: true})
	w.expect(5*time.Second, netip.AddrPort{})
	w.Run(5 * time.Second)
	w.Connect(a, b, pathtest.Link{Delay: ms})
	w.expect(10*time.Second, b.Addr())
}

func TestEqualOrHardlyBetterPathsDoNotTakeTurns(t *testing.T) {
	for _, other := range []time.Duration{2 * ms, 1950 * time.Microsecond} { // round trips of 4.1, 4 and 3.9 ms
		w := newWorld(t, 1)
		a, b1, b2 := w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2"), w.b.Public("198.51.100.3")
		w.Connect(a, b1, pathtest.Link{Delay: 2050 * time.Microsecond})
		w.Connect(a, b2, pathtest.Link{Cut: true})
		w.a.Meet(w.b.Peer(b1.Addr(), b2.Addr()))
		w.b.Meet(w.a.Peer(a.Addr()))
		w.a.Stream("b", 100*ms, time.Hour)
		w.expect(time.Second, b1.Addr())
		w.Run(5 * time.Second)
		w.Connect(a, b2, pathtest.Link{Delay: other})
		w.Run(5 * time.Minute)
		if w.a.Moves != 1 {
			t.Errorf("%d moves between round trips of 4.1 ms and %v", w.a.Moves, 2*other)
		}
	}
}

func TestOtherLocalAddressIsTriedBeforeThePathIsLost(t *testing.T) {
	w := newWorld(t, 1)
	a, b1, b2 := w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2"), w.b.Public("198.51.100.3")
	w.a.Meet(w.b.Peer(b2.Addr()))
	w.b.Meet(w.a.Peer(a.Addr()))
	w.a.Want("b")
	w.Run(time.Second) // b sends to a from b2, where a's requests come in
	w.b.Stream("a", 20*ms, time.Hour)
	w.Run(2 * time.Second)
	w.Connect(a, b2, pathtest.Link{Cut: true})
	w.Run(3 * time.Second)
	if w.b.Moves != 1 || w.Now().Sub(w.a.LastData) > time.Second {
		t.Errorf("%d moves, last data %v ago: %v leads to a too", w.b.Moves, w.Now().Sub(w.a.LastData), b1.Addr())
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
	if w.a.Paths["b"].IsValid() {
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
	if w.a.Paths["b"].IsValid() {
		t.Fatal("the path of the old key serves the new one")
	}
	w.a.Want("b")
	w.Run(10 * time.Second)
	if w.a.Paths["b"].IsValid() {
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
	w.a.Set.Ping(w.Now(), "b")
	w.Run(ms)
	if w.a.Asked != asked+1 {
		t.Errorf("%d probes, want 1", w.a.Asked-asked)
	}
	w.Run(1300 * ms) // probed every second, 300 ms ago
	asked = w.a.Asked
	w.a.Set.Ping(w.Now(), "b")
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
