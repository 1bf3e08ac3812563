package path_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// TestEveryPairOfNetworksConnects puts a and b into every pair of sites: the
// first datagram passes within 2 s, and after 10 s the path is direct exactly
// where theory allows it.
func TestEveryPairOfNetworksConnects(t *testing.T) {
	sites := pathtest.Sites()
	for i, sa := range sites {
		for _, sb := range sites[i:] {
			for seed := range seeds(4) {
				t.Run(fmt.Sprintf("%s and %s/%d", sa.Name, sb.Name, seed), func(t *testing.T) {
					connect(t, sa, sb, seed)
				})
			}
		}
	}
}

// pairOf makes two nodes in two sites, which know each other and a relay. In odd
// seeds packets are lost, and the network is old: what STUN told has expired.
func pairOf(t *testing.T, sa, sb pathtest.Site, seed uint64) *world {
	w := newWorld(t, seed)
	w.STUN("203.0.113.1")
	w.STUN("203.0.113.2")
	w.Default = pathtest.Link{Delay: time.Duration(5+seed*9) * ms, Jitter: time.Duration(seed) * 3 * ms}
	r := w.Relay("r", time.Duration(10+seed*7)*ms)
	sa.Settle(w.Internet, w.a, 1)
	sb.Settle(w.Internet, w.b, 2)
	w.a.SetHome(r)
	w.b.SetHome(r)
	w.Introduce(w.a, w.b)
	if seed%2 == 1 {
		w.Default.Loss, r.Loss = 0.02, 0.02
		w.Run(time.Minute)
	}
	return w
}

func connect(t *testing.T, sa, sb pathtest.Site, seed uint64) {
	w := pairOf(t, sa, sb, seed)
	start := w.Now()
	w.a.Stream("b", 20*ms, time.Hour)
	if seed >= 2 {
		w.b.Stream("a", 20*ms, time.Hour)
	}
	if !w.RunUntil(2*time.Second, func() bool { return w.b.Received > 0 }) {
		t.Fatal("no datagram within 2 s")
	}
	direct := func() bool { return w.a.At("b").IsValid() && w.b.At("a").IsValid() }
	want := pathtest.CanBeDirect(sa, sb)
	got := w.RunUntil(10*time.Second-w.Now().Sub(start), direct)
	if got != want {
		t.Errorf("direct after 10 s: %v, in theory: %v (a %+v, b %+v)", got, want, w.a.Set.Info("b"), w.b.Set.Info("a"))
	}
	// It stays so, and nobody asks without end.
	asked, moves, received := w.a.Asked+w.b.Asked, w.a.Moves+w.b.Moves, w.b.Received
	w.Run(30 * time.Second)
	if n := w.a.Asked + w.b.Asked - asked; n > 360 {
		t.Errorf("%d probes in half a minute", n)
	}
	if n := w.a.Moves + w.b.Moves - moves; n > 4 {
		t.Errorf("%d moves in half a minute", n)
	}
	if n := w.b.Received - received; n < 1350 {
		t.Errorf("%d of 1,500 datagrams arrive", n)
	}
}

func TestHomesBehindOneCarrierNeedItsHairpin(t *testing.T) {
	for _, hairpin := range []bool{true, false} {
		w := newWorld(t, 1)
		w.STUN("203.0.113.1")
		carrier := pathtest.HomeRouter()
		carrier.Hairpin = hairpin
		outer := w.NAT("carrier", "192.0.2.1", carrier)
		w.a.Private("home a", "192.168.1.2", w.NATBehind(outer, "home a", "100.64.0.2", pathtest.HomeRouter()))
		w.b.Private("home b", "192.168.1.2", w.NATBehind(outer, "home b", "100.64.0.3", pathtest.HomeRouter()))
		r := w.Relay("r", 20*ms)
		w.a.SetHome(r)
		w.b.SetHome(r)
		w.Introduce(w.a, w.b)
		w.a.Stream("b", 20*ms, time.Hour)
		w.Run(10 * time.Second)
		if got := w.a.At("b").IsValid() && w.b.At("a").IsValid(); got != hairpin {
			t.Errorf("hairpin %v: direct %v", hairpin, got)
		}
		if w.b.Received == 0 {
			t.Error("not connected")
		}
	}
}

func TestPeersOnOneSwitchTalkOverIt(t *testing.T) {
	for _, nat := range append(pathtest.Usual(), pathtest.Behaviour{Name: "hairpin", Hairpin: true}) {
		w := newWorld(t, 1)
		w.STUN("203.0.113.1")
		ward := w.NAT("ward", "192.0.2.1", nat)
		w.a.Private("ward", "10.0.0.2", ward)
		b := w.b.Private("ward", "10.0.0.3", ward)
		r := w.Relay("r", 5*ms)
		w.a.SetHome(r)
		w.b.SetHome(r)
		w.Introduce(w.a, w.b)
		w.a.Stream("b", 20*ms, time.Hour)
		w.Run(2 * time.Second)
		if w.a.At("b") != b.Addr() {
			t.Errorf("behind a %s: the path is %v, want %v", nat.Name, w.a.Paths["b"], b.Addr())
		}
	}
}
