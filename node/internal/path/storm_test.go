package path_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// TestStorm breaks and mends a small internet at random, while both ends talk.
// Whatever happened, data flows again soon after a way is open and stays open.
func TestStorm(t *testing.T) {
	for seed := range seeds(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { storm(t, seed) })
	}
}

func storm(t *testing.T, seed uint64) {
	w, rng := newWorld(t, seed), rand.New(rand.NewPCG(seed, 99))
	nat := w.NAT("home", "192.0.2.1", pathtest.Usual()[seed%3])
	a := w.a.Private("home", "10.0.0.2", nat)
	ways := []*pathtest.NIC{w.b.Public("198.51.100.2"), w.b.Public("198.51.100.3"), w.b.Private("home", "10.0.0.3", nil)}
	w.a.Meet(w.b.Peer(ways[0].Addr(), ways[1].Addr(), nowhere, ways[2].Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 50*ms, 24*time.Hour)
	w.b.Stream("a", 50*ms, 24*time.Hour)
	for round := range 20 {
		for _, way := range ways {
			w.Connect(a, way, pathtest.Link{Cut: rng.IntN(2) == 0, Delay: time.Duration(rng.IntN(80)) * ms, Jitter: 5 * ms, Loss: rng.Float64() / 5})
		}
		if rng.IntN(3) == 0 {
			nat.Reboot()
		}
		if rng.IntN(4) == 0 {
			w.a.NetworkChanged()
		}
		w.Run(time.Duration(rng.IntN(20000)) * ms)

		open := ways[rng.IntN(len(ways))]
		w.Connect(a, open, pathtest.Link{Delay: time.Duration(1+rng.IntN(80)) * ms})
		opened := w.Now()
		flows := func() bool { return w.a.LastData.After(opened) && w.b.LastData.After(opened) }
		if !w.RunUntil(16*time.Second, flows) {
			t.Fatalf("round %d: %v is open for 16 s, and no data flows: a %+v, b %+v", round, open.Addr(), w.a.Set.Info("b"), w.b.Set.Info("a"))
		}
	}
	if rate := float64(w.a.Asked) / w.Now().Sub(begin).Seconds(); rate > 20 {
		t.Errorf("%.1f probes a second", rate)
	}
}
