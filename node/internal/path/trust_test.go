package path_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

func TestWayThatFailsAgainAndAgainIsTrustedLaterButWithinAMinute(t *testing.T) {
	w, a, b, _ := relayed(t, 1)
	w.a.Stream("b", 20*ms, time.Hour)
	w.b.Stream("a", 20*ms, time.Hour)
	comeAndGo := func(here time.Duration, rounds int) {
		for range rounds {
			w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
			w.Run(here)
			w.Connect(a, b, pathtest.Link{Cut: true})
			w.Run(5 * time.Second)
		}
	}
	comeAndGo(10*time.Second, 80)
	if w.a.Moves > 12 {
		t.Errorf("%d moves in 20 minutes in which the direct path was there for 10 s again and again", w.a.Moves)
	}
	comeAndGo(55*time.Second, 12) // it becomes the path each time, and fails
	w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
	if took := w.expect(10*time.Minute, b.Addr()); took > time.Minute {
		t.Errorf("steady again, it is used after %v", took)
	}
}

// TestSuspectPathIsLeftTheMomentAnotherAnswers: not at the next missing answer.
func TestSuspectPathIsLeftTheMomentAnotherAnswers(t *testing.T) {
	w := newWorld(t, 1)
	a, b1, b2 := w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2"), w.b.Public("198.51.100.3")
	w.Connect(a, b2, pathtest.Link{Delay: 30 * ms})
	w.a.Meet(w.b.Peer(b1.Addr(), b2.Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 10*ms, time.Hour)
	w.expect(time.Second, b1.Addr())
	w.Run(10 * time.Second)
	w.Connect(a, b1, pathtest.Link{Cut: true})
	var asked time.Time
	w.a.Watch = func(act path.Action) {
		if act.Do == path.Send && act.To == path.Direct(b2.Addr()) && asked.IsZero() {
			asked = w.Now()
		}
	}
	if took := w.expect(5*time.Second, b2.Addr()); took > 700*ms {
		t.Errorf("left after %v", took)
	}
	if took := w.Now().Sub(asked); took != 60*ms {
		t.Errorf("moved %v after the other address was asked, want its round trip of 60 ms", took)
	}
}

func TestPathThatRecoversIsSuspectNoMore(t *testing.T) {
	w := newWorld(t, 1)
	a, b1, b2 := w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2"), w.b.Public("198.51.100.3")
	w.Connect(a, b2, pathtest.Link{Cut: true})
	w.a.Meet(w.b.Peer(b1.Addr(), b2.Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 10*ms, time.Hour)
	w.expect(time.Second, b1.Addr())
	w.Run(10 * time.Second)
	w.Connect(a, b1, pathtest.Link{Cut: true})
	w.Run(700 * ms) // suspect, and nobody else answers
	w.Connect(a, b1, pathtest.Link{Delay: 10 * ms})
	w.Run(5 * time.Second)
	w.Connect(a, b2, pathtest.Link{Delay: 12 * ms})
	w.Run(5 * time.Minute)
	if w.a.Moves != 1 || w.a.At("b") != b1.Addr() {
		t.Errorf("%d moves; the path is %v, want %v", w.a.Moves, w.a.At("b"), b1.Addr())
	}
}

// quietly counts a's requests in three quiet minutes.
// TestWholeSiteBehindOneAddressIsServed has 300 peers with paths to one host: the
// limits that protect strangers do not starve them.
func TestRelayThatCarriesOneWayOnlyIsNoticed(t *testing.T) {
	w, a, _, r := relayed(t, 1)
	a.SetWall(pathtest.UDPBlocked)
	w.a.Stream("b", 50*ms, time.Hour)
	w.b.Stream("a", 50*ms, time.Hour)
	w.Run(10 * time.Second)
	r.Mute(w.a, true)
	if took := w.expectWay(20*time.Second, path.Way{}); took > 8*time.Second {
		t.Errorf("noticed after %v", took)
	}
	r.Mute(w.a, false)
	w.expectWay(11*time.Second, r.Way())
}

// TestForgedTrafficBuysLittleTime has somebody send packets in the name of a peer
// that is gone: they do not keep the path.
func TestForgedTrafficBuysLittleTime(t *testing.T) {
	for _, tt := range []struct {
		dies, other path.Way
		most        time.Duration
	}{
		{path.Direct(home), path.Through("r"), 1650 * ms}, // a second, and four of 150 ms
		{path.Through("r"), path.Way{}, 5950 * ms},        // five seconds, and six of 150 ms
	} {
		s := newStage(t)
		s.SetCandidates(s.now, "friend", nil)
		if tt.dies.Relayed() {
			s.SetHome(s.now, "friend", tt.dies.Relay)
		} else {
			s.SetCandidates(s.now, "friend", []netip.AddrPort{tt.dies.Addr})
		}
		dead := func(a path.Action) bool { return false }
		run := func() {
			s.now = s.now.Add(10 * ms)
			s.Want(s.now, "friend")
			s.Heard(s.now, "friend", tt.dies)
			s.Tick(s.now)
			for _, a := range s.Take() {
				if h, _ := probe.Peek(a.Datagram); h.Kind == probe.Request && !dead(a) {
					s.Receive(s.now, a.To, s.codec.AppendAnswer(nil, h.ID, behind, &s.secret))
				}
			}
		}
		for range 300 {
			run()
		}
		if tt.other.IsValid() {
			s.SetHome(s.now, "friend", tt.other.Relay)
		}
		// The answers to padded requests go on: the small ones alone must tell.
		dead = func(a path.Action) bool { return a.To == tt.dies && !a.Whole }
		start := s.now
		for s.Info("friend").Way() != tt.other {
			run()
			if took := s.now.Sub(start); took > tt.most {
				t.Fatalf("%v is still the path after %v", tt.dies, took)
			}
		}
	}
}

func TestLongRoundTripsLeaveTimeForTheRelayToo(t *testing.T) {
	for seed := range seeds(20) {
		w := newWorld(t, seed)
		a, b := w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2")
		r := w.Relay("r1", 37*ms)
		w.a.SetHome(r)
		w.b.SetHome(r)
		w.Connect(a, b, pathtest.Link{Delay: 74 * ms})
		w.a.Meet(w.b.Peer(b.Addr()))
		w.b.Meet(w.a.Peer())
		w.Run(time.Second)
		w.a.Stream("b", 10*ms, time.Hour)
		w.b.Stream("a", 10*ms, time.Hour)
		w.Run(30*time.Second + time.Duration(seed)*53*ms)
		w.Connect(a, b, pathtest.Link{Cut: true})
		if took := w.expectWay(5*time.Second, r.Way()); took > time.Second {
			t.Errorf("seed %d: on the relay after %v", seed, took)
		}
	}
}

// TestAnswersFromBeforeAChangeTellNothing: the relay answered a second ago, but
// that was in another network.
func TestAnswersFromBeforeAChangeTellNothing(t *testing.T) {
	w, a, b, r := relayed(t, 1)
	w.a.Stream("b", 20*ms, time.Hour)
	w.Run(time.Second)
	if w.a.At("b") != b.Addr() {
		t.Fatal("not direct")
	}
	w.Connect(a, b, pathtest.Link{Cut: true})
	r.Loss = 1
	w.a.Watch = func(act path.Action) {
		if act.Do == path.Moved && act.To.Relayed() {
			t.Error("moved to a relay that has not answered since the network changed")
		}
	}
	w.a.NetworkChanged()
	w.expectWay(5*time.Second, path.Way{})
}

func TestRoamingIntoAnotherHomeIsDirectAgainWithinSeconds(t *testing.T) {
	for seed := range seeds(10) {
		w := newWorld(t, seed)
		w.STUN("203.0.113.1")
		r := w.Relay("r", 25*ms)
		a := w.a.Private("one", "10.0.0.2", w.NAT("one", "192.0.2.1", pathtest.HomeRouter()))
		other := w.NAT("other", "192.0.2.3", pathtest.HomeRouter())
		w.b.Private("home", "10.1.0.2", w.NAT("home", "192.0.2.2", pathtest.HomeRouter()))
		w.a.SetHome(r)
		w.b.SetHome(r)
		w.Introduce(w.a, w.b)
		w.a.Stream("b", 20*ms, time.Hour)
		w.b.Stream("a", 20*ms, time.Hour)
		w.Run(20*time.Second + time.Duration(seed)*137*ms)
		a.Roam("other", "10.2.0.2", other)
		called := w.a.Called
		if w.a.NetworkChanged(); w.a.Called != called+1 {
			t.Errorf("%d calls when the network changed, want one at once", w.a.Called-called)
		}
		direct := func() bool { return w.a.At("b").IsValid() && w.b.At("a").Addr() == other.Public() }
		start := w.Now()
		if !w.RunUntil(20*time.Second, direct) {
			t.Fatalf("seed %d: a sends by %v, b by %v", seed, w.a.Paths["b"], w.b.Paths["a"])
		}
		if took := w.Now().Sub(start); took > 2*time.Second {
			t.Errorf("seed %d: direct again after %v", seed, took)
		}
	}
}
