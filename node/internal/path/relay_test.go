package path_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// relayed gives both a public interface and a relay at 25 ms from each.
func relayed(t *testing.T, seed uint64) (w *world, a, b *pathtest.NIC, r *pathtest.Relay) {
	w = newWorld(t, seed)
	a, b = w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2")
	r = w.Relay("r1", 25*ms)
	w.a.SetHome(r)
	w.b.SetHome(r)
	w.a.Meet(w.b.Peer(b.Addr()))
	w.b.Meet(w.a.Peer(a.Addr()))
	w.Run(time.Second)
	return w, a, b, r
}

// expectWay lets time pass until a's path to b is want, and returns how long it
// took.
func (w *world) expectWay(d time.Duration, want path.Way) time.Duration {
	w.t.Helper()
	start := w.Now()
	if !w.RunUntil(d, func() bool { return w.a.Paths["b"] == want }) {
		w.t.Fatalf("after %v the path is %v, want %v (%+v)", d, w.a.Paths["b"], want, w.a.Set.Info("b"))
	}
	return w.Now().Sub(start)
}

func TestNewFlowStartsOverTheRelayInOneRoundTripAndLosesNothing(t *testing.T) {
	w, a, b, r := relayed(t, 1)
	w.Connect(a, b, pathtest.Link{Delay: 400 * ms})
	w.a.Stream("b", 10*ms, 20*time.Second)
	w.b.Stream("a", 10*ms, 20*time.Second)
	if took := w.expectWay(time.Second, r.Way()); took != 100*ms {
		t.Errorf("took %v, want one round trip of 100 ms", took)
	}
	if in := w.a.Set.Info("b"); in.Why != path.WhyRelayed || in.Way() != r.Way() || in.RTT != 100*ms {
		t.Errorf("info = %+v", in)
	}
	w.expectWay(2*time.Second, path.Direct(b.Addr()))
	w.Run(30 * time.Second)
	if w.a.Moves != 2 || w.b.Moves != 2 {
		t.Errorf("moves: a %d, b %d; want to the relay and to the direct path", w.a.Moves, w.b.Moves)
	}
	if w.a.Sent != w.b.Received || w.b.Sent != w.a.Received || w.a.Sent == 0 {
		t.Errorf("a sent %d, b received %d; b sent %d, a received %d", w.a.Sent, w.b.Received, w.b.Sent, w.a.Received)
	}
}

func TestDirectPathThatDiesUnderTrafficIsOnTheRelayWithinASecondAndBackWithinAMinute(t *testing.T) {
	for seed := range seeds(20) {
		for _, both := range []bool{true, false} {
			w, a, b, r := relayed(t, seed)
			w.Connect(a, b, pathtest.Link{Delay: 20 * ms, Jitter: 3 * ms})
			w.a.Stream("b", 10*ms, time.Hour)
			if both {
				w.b.Stream("a", 10*ms, time.Hour)
			}
			w.expect(time.Second, b.Addr())
			w.Run(70*time.Second + time.Duration(seed)*53*ms)
			w.Connect(a, b, pathtest.Link{Cut: true})
			if took := w.expectWay(5*time.Second, r.Way()); took > time.Second {
				t.Errorf("seed %d, both %v: on the relay after %v, want at most 1 s", seed, both, took)
			}
			w.Run(time.Duration(seed) * 10 * time.Second)
			w.Connect(a, b, pathtest.Link{Delay: 20 * ms})
			if took := w.expect(2*time.Minute, b.Addr()); took > time.Minute {
				t.Errorf("seed %d, both %v: direct again after %v, want at most a minute", seed, both, took)
			}
		}
	}
}

func TestPathThatDiesInOneDirectionIsLeftByBothEnds(t *testing.T) {
	for seed := range seeds(20) {
		w, a, b, r := relayed(t, seed)
		w.a.Stream("b", 10*ms, time.Hour)
		w.b.Stream("a", 10*ms, time.Hour)
		w.Run(5*time.Second + time.Duration(seed)*53*ms)
		w.ConnectOneWay(a, b, pathtest.Link{Cut: true})
		start := w.Now()
		left := func() bool { return w.a.Paths["b"] == r.Way() && w.b.Paths["a"] == r.Way() }
		if !w.RunUntil(10*time.Second, left) {
			t.Fatalf("seed %d: a sends by %v, b by %v", seed, w.a.Paths["b"], w.b.Paths["a"])
		}
		if took := w.Now().Sub(start); took > 1200*ms {
			t.Errorf("seed %d: left after %v, want at most 1.2 s", seed, took)
		}
	}
}

func TestEndsThatUseDifferentRelaysSendToEachOthersHome(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2")
	a.SetWall(pathtest.UDPBlocked)
	b.SetWall(pathtest.UDPBlocked)
	ra, rb := w.Relay("ra", 10*ms), w.Relay("rb", 30*ms)
	w.a.SetHome(ra)
	w.b.SetHome(rb)
	w.a.Meet(w.b.Peer(b.Addr()))
	w.b.Meet(w.a.Peer(a.Addr()))
	w.Run(time.Second)
	w.a.Stream("b", 50*ms, time.Hour)
	w.b.Stream("a", 50*ms, time.Hour)
	w.Run(time.Minute)
	if w.a.Paths["b"] != rb.Way() || w.b.Paths["a"] != ra.Way() {
		t.Errorf("a sends by %v, b by %v", w.a.Paths["b"], w.b.Paths["a"])
	}
	rb.SetDown(true)
	w.b.SetHome(ra)
	w.a.Set.SetHome(w.Now(), "b", "ra")
	if took := w.expectWay(10*time.Second, ra.Way()); took > time.Second {
		t.Errorf("the new home is used after %v", took)
	}
}

func TestRelayThatComesBackIsUsedAtOnce(t *testing.T) {
	w, a, b, r := relayed(t, 1)
	w.Connect(a, b, pathtest.Link{Cut: true})
	r.SetDown(true)
	w.a.Stream("b", 50*ms, time.Hour)
	w.Run(2 * time.Minute) // the search backs off to 10 s
	r.SetDown(false)
	// Three round trips of 50 ms until the connection stands, and one to the peer.
	if took := w.expectWay(10*time.Second, r.Way()); took > 251*ms {
		t.Errorf("took %v", took)
	}
	r.SetDown(true)
	if took := w.expectWay(10*time.Second, path.Way{}); took > 900*ms {
		t.Errorf("a relay that is known to be away is believed in for %v", took)
	}
}

func TestUnusedRelayedPathCostsNothing(t *testing.T) {
	w, a, b, r := relayed(t, 1)
	w.Connect(a, b, pathtest.Link{Cut: true})
	w.a.Want("b")
	w.Run(20 * time.Second)
	if w.a.Paths["b"] != r.Way() || w.b.Paths["a"] != r.Way() {
		t.Fatal("not relayed")
	}
	asked, frames := w.a.Asked+w.b.Asked+w.a.Called+w.b.Called, r.Frames
	w.Run(150 * time.Second)
	if n := w.a.Asked + w.b.Asked + w.a.Called + w.b.Called - asked; n != 0 || r.Frames != frames {
		t.Errorf("%d probes and %d frames for a path that nobody uses", n, r.Frames-frames)
	}
	if w.a.Paths["b"] != r.Way() || w.b.Paths["a"] != r.Way() {
		t.Error("the path is gone while WireGuard may still use it")
	}
	w.a.Stream("b", 100*ms, 10*ms)
	w.b.Stream("a", 100*ms, 10*ms)
	w.Run(time.Second)
	if w.b.Received == 0 || w.a.Received == 0 {
		t.Error("what is sent after a pause is lost")
	}
	w.Run(10 * time.Minute)
	if w.a.Paths["b"].IsValid() || w.b.Paths["a"].IsValid() || !w.a.Set.Next().IsZero() {
		t.Error("an unused relayed path is kept for ever")
	}
}

func TestWayThatComesAndGoesDoesNotDragTrafficAlong(t *testing.T) {
	w, a, b, _ := relayed(t, 1)
	w.a.Stream("b", 20*ms, time.Hour)
	w.b.Stream("a", 20*ms, time.Hour)
	for range 200 { // 3 s here, 3 s gone, for twenty minutes
		w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
		w.Run(3 * time.Second)
		w.Connect(a, b, pathtest.Link{Cut: true})
		w.Run(3 * time.Second)
	}
	if w.a.Moves > 12 {
		t.Errorf("%d moves in 20 minutes", w.a.Moves)
	}
	w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
	if took := w.expect(2*time.Minute, b.Addr()); took > time.Minute {
		t.Errorf("steady again, it is used after %v", took)
	}
}

func TestLossyDirectPathIsPreferredToTheRelay(t *testing.T) {
	w, a, b, _ := relayed(t, 3)
	w.Connect(a, b, pathtest.Link{Delay: 20 * ms, Jitter: 10 * ms, Loss: 0.05})
	w.a.Stream("b", 20*ms, time.Hour)
	w.b.Stream("a", 20*ms, time.Hour)
	w.Run(30 * time.Minute)
	if w.a.Moves > 4 {
		t.Errorf("%d moves in half an hour at 5%% loss", w.a.Moves)
	}
}

// TestAddressesThatDieTogetherDoNotTakeTurns has peers that reach each other at
// several addresses, until nothing passes between them.
func TestAddressesThatDieTogetherDoNotTakeTurns(t *testing.T) {
	for seed := range seeds(20) {
		w, a, b, r := relayed(t, seed)
		four := [2]*pathtest.NIC{a, b}
		six := [2]*pathtest.NIC{w.a.Public("2001:db8::1"), w.b.Public("2001:db8::2")}
		for _, pair := range [][2]*pathtest.NIC{four, six} {
			w.Connect(pair[0], pair[1], pathtest.Link{Delay: 20 * ms, Jitter: 3 * ms})
		}
		w.a.Meet(w.b.Peer(b.Addr(), six[1].Addr()))
		w.b.Meet(w.a.Peer(a.Addr(), six[0].Addr()))
		w.a.Stream("b", 10*ms, time.Hour)
		w.b.Stream("a", 10*ms, time.Hour)
		w.Run(30*time.Second + time.Duration(seed)*531*ms)
		for turn := range 4 {
			direct := func() bool { return w.a.Paths["b"].IsValid() && !w.a.Paths["b"].Relayed() }
			if !w.RunUntil(2*time.Minute, direct) {
				t.Fatalf("seed %d, turn %d: the path is %v", seed, turn, w.a.Paths["b"])
			}
			w.Run(time.Duration(turn) * time.Duration(seed) * 37 * ms)
			moves := w.a.Moves
			for _, pair := range [][2]*pathtest.NIC{four, six} {
				w.Connect(pair[0], pair[1], pathtest.Link{Cut: true})
			}
			if took := w.expectWay(10*time.Second, r.Way()); took > time.Second || w.a.Moves > moves+2 {
				t.Errorf("seed %d, turn %d: on the relay after %v and %d moves, want at most 1 s and two moves", seed, turn, took, w.a.Moves-moves)
			}
			w.Run(5 * time.Second)
			for _, pair := range [][2]*pathtest.NIC{four, six} {
				w.Connect(pair[0], pair[1], pathtest.Link{Delay: 20 * ms, Jitter: 3 * ms})
			}
		}
	}
}

// A peer's relay may become known after somebody began to look for the peer: a
// NAT before it opens only if it is called then, not at the next review.
func TestPeerWhoseRelayIsToldLateIsCalledAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	w.STUN("203.0.113.1")
	r := w.Relay("r1", 5*ms)
	a := w.a.Public("198.51.100.1")
	w.b.Private("home", "192.168.1.2", w.NAT("home", "192.0.2.1", pathtest.HomeRouter()))
	w.a.SetHome(r)
	w.b.SetHome(r)
	w.b.Gather()
	w.Run(time.Second)
	told := w.b.Peer(w.b.Own()...)
	early := told
	early.Home = ""
	w.b.Meet(w.a.Peer(a.Addr()))
	w.a.Meet(early)
	w.a.Stream("b", 10*ms, 20*time.Second)
	w.Run(100 * ms)
	w.a.Meet(told)
	if !w.RunUntil(time.Second, func() bool { return w.a.At("b").IsValid() && w.b.At("a").IsValid() }) {
		t.Errorf("after a second: a %v, b %v, want direct paths", w.a.Paths["b"], w.b.Paths["a"])
	}
}
