package path_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// A peer is asked at the addresses that are wanted, and tells of them, though the
// path is another and stays; a request or an answer may be lost.
func TestSurveyTellsOfAddressesBesideThePath(t *testing.T) {
	for seed := range seeds(20) {
		w := newWorld(t, seed)
		w.a.Public("10.77.0.2")
		far := w.b.Public("10.77.0.3")
		w.a.Meet(w.b.Peer(far.Addr()))
		w.b.Meet(w.a.Peer())
		w.a.Stream("b", 20*ms, time.Hour)
		w.expect(time.Second, far.Addr())
		a, b := w.a.Private("inside", "10.88.0.9", nil), w.b.Private("inside", "10.88.0.1", nil)
		w.Connect(a, b, pathtest.Link{Delay: 10 * ms, Loss: 0.2})
		w.Connect(b, a, pathtest.Link{Delay: 10 * ms, Loss: 0.2})
		w.a.Meet(w.b.Peer(far.Addr(), b.Addr()))
		w.Run(time.Minute)

		began := w.Now()
		if n := w.a.Survey("b", netip.MustParsePrefix("10.99.0.0/24")); n != 0 {
			t.Errorf("seed %d: %d addresses of a network in which it has none", seed, n)
		}
		if n := w.a.Survey("b", netip.MustParsePrefix("10.88.0.0/24")); n != 1 {
			t.Fatalf("seed %d: %d addresses, want one", seed, n)
		}
		beside := path.Sight{Endpoint: b.Addr(), Mapped: a.Addr()}
		if !w.RunUntil(3*time.Second, func() bool { return slices.Contains(w.a.Set.Sights("b", began), beside) }) {
			t.Errorf("seed %d: sights = %+v", seed, w.a.Set.Sights("b", began))
		}
		if w.a.At("b") != far.Addr() || w.a.Moves != 1 {
			t.Errorf("seed %d: the path leads to %v after %d moves", seed, w.a.At("b"), w.a.Moves)
		}
	}
}
