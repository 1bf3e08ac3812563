package path_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

func TestSilentDeathUnderTrafficIsNoticedWithinSeconds(t *testing.T) {
	for seed := range seeds(20) {
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

func TestBetterPathTakesOverAndAnEqualOneDoesNot(t *testing.T) {
	w := newWorld(t, 1)
	nat := w.NAT("ward", "192.0.2.1", pathtest.FullCone())
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
	aLAN := w.a.Private("ward", "10.0.0.2", w.NAT("ward", "192.0.2.1", pathtest.FullCone()))
	bLAN, other := w.b.Private("ward", "10.0.0.3", nil), w.b.Public("198.51.100.2")
	w.Connect(aLAN, bLAN, pathtest.Link{Delay: 4800 * time.Microsecond})
	w.Connect(aLAN, other, pathtest.Link{Delay: 4100 * time.Microsecond})
	w.a.Meet(w.b.Peer(other.Addr(), bLAN.Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 100*ms, time.Minute)
	w.Run(time.Second)
	if w.a.At("b") != bLAN.Addr() {
		t.Errorf("path leads to %v, want %v, which stays in the building", w.a.At("b"), bLAN.Addr())
	}
}

func TestOtherAddressTakesOverWhenThePathDies(t *testing.T) {
	for seed := range seeds(20) {
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
	for _, kind := range pathtest.Usual() {
		w := newWorld(t, 1)
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
			t.Fatalf("NAT %v: b never reaches a again", kind.Name)
		}
		if hole := w.Now().Sub(rebooted); hole > 2*time.Second {
			t.Errorf("NAT %v: black hole of %v, want at most 2 s", kind.Name, hole)
		}
	}
}

func TestQuietEndFollowsAPeerThatMoved(t *testing.T) {
	w := newWorld(t, 1)
	w.Default.Delay = 200 * ms
	nat := w.NAT("home", "192.0.2.1", pathtest.FullCone())
	w.a.Private("home", "10.0.0.2", nat)
	w.a.Meet(w.b.Peer(w.b.Public("198.51.100.2").Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 100*ms, time.Hour)
	w.Run(time.Second)
	w.b.Want("a")
	w.Run(time.Minute)
	old := w.b.At("a")
	nat.Reboot()
	if !w.RunUntil(2*time.Second, func() bool { return w.b.Set.Info("a").Candidates == 2 }) {
		t.Fatal("b does not hear of the new address; the test tests nothing")
	}
	heard := w.Now()
	if !w.RunUntil(time.Minute, func() bool { return w.b.At("a") != old }) {
		t.Fatal("b stays with the old address")
	}
	// Two misses of the old address, of twice the round trip of 400 ms each.
	if took := w.Now().Sub(heard); took > 1610*ms || !w.b.At("a").IsValid() {
		t.Errorf("b moved to %v after %v, want 1.6 s", w.b.At("a"), took)
	}
}

func TestNewAddressOfThisNodeIsFollowed(t *testing.T) {
	w, a, _ := public(t, 3)
	w.a.Stream("b", 20*ms, time.Hour)
	w.b.Stream("a", 20*ms, time.Hour)
	w.Run(5 * time.Second)
	a.SetAddr("198.51.100.77")
	w.a.NetworkChanged()
	if !w.RunUntil(3*time.Second, func() bool { return w.b.At("a") == a.Addr() }) {
		t.Fatalf("b still sends to %v", w.b.At("a"))
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
