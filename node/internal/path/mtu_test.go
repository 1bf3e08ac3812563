package path_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// mtu lets time pass until a's path to b has found an MTU that fits packets of so
// many bytes, and says how long that took.
func (w *world) mtu(d time.Duration, packet, headers int) time.Duration {
	w.t.Helper()
	start, most := w.Now(), packet-headers
	fits := func() bool { in := w.a.Set.Info("b"); return in.MTU <= most && in.MTU > most-16 }
	if !w.RunUntil(d, fits) {
		w.t.Fatalf("after %v the MTU is %d, want at most %d, and more than 16 less", d, w.a.Set.Info("b").MTU, most)
	}
	return w.Now().Sub(start)
}

func TestPathMTUIsFoundWithoutICMP(t *testing.T) {
	for _, packet := range []int{1500, 1492, 1480, 1460, 1420, 1400, 1358, 1300, 1280, 1244} {
		for seed := range seeds(3) {
			w, a, b := public(t, seed)
			w.Connect(a, b, pathtest.Link{Delay: 20 * ms, MTU: packet, Loss: float64(seed) / 100})
			w.a.Stream("b", 20*ms, time.Hour)
			w.b.Stream("a", 20*ms, time.Hour)
			if took := w.mtu(10*time.Second, packet, 28); took > 3*time.Second {
				t.Errorf("packets of %d: found after %v", packet, took)
			}
			sized := w.a.Sized
			w.Run(9 * time.Minute)
			w.mtu(ms, packet, 28)
			if n := w.a.Sized - sized; n > 300 {
				t.Errorf("packets of %d: %d padded probes in 9 minutes", packet, n)
			}
		}
	}
}

func TestUsualMTUIsKnownAfterTwoRoundTrips(t *testing.T) {
	w, _, b := public(t, 1)
	w.a.Want("b")
	w.expect(time.Second, b.Addr())
	if took := w.mtu(time.Second, 1500, 28); took != 40*ms {
		t.Errorf("took %v, want two round trips of 20 ms", took)
	}
	if in := w.a.Set.Info("b"); in.MTU != 1472 || in.InnerMTU() != 1440 {
		t.Errorf("info = %+v, inner %d", in, in.InnerMTU())
	}
}

func TestIPv6HasLargerHeaders(t *testing.T) {
	w := newWorld(t, 1)
	b := w.b.Public("2001:db8::2")
	w.a.Public("2001:db8::1")
	w.a.Meet(w.b.Peer(b.Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Want("b")
	w.mtu(time.Second, 1500, 48)
}

func TestRelayedPathHasAnMTUToo(t *testing.T) {
	w, a, _, r := relayed(t, 1)
	a.SetWall(pathtest.UDPBlocked)
	w.a.Stream("b", 100*ms, time.Hour)
	w.Run(2 * time.Second)
	if in := w.a.Set.Info("b"); in.Way() != r.Way() || in.MTU != 1472 {
		t.Errorf("info = %+v", in)
	}
	w.Run(9 * time.Minute)
	if w.a.Sized != 2 {
		t.Errorf("%d padded probes; a relay's TCP has no black holes to look for", w.a.Sized)
	}
}

func TestSilenceOfThePathSaysNothingOfItsMTU(t *testing.T) {
	for seed := range seeds(60) {
		w, a, b := public(t, seed)
		w.a.Stream("b", 10*ms, time.Hour)
		w.Run(10*time.Second + time.Duration(seed)*41*ms)
		w.Connect(a, b, pathtest.Link{Cut: true})
		w.Run(700 * ms)
		w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
		w.a.Watch = func(act path.Action) {
			if in := w.a.Set.Info("b"); in.MTU != 1472 {
				t.Fatalf("seed %d: a short silence makes the MTU %d", seed, in.MTU)
			}
		}
		w.Run(10 * time.Second)
	}
}

// TestBlackHoleIsNoticed has the MTU of the path shrink under traffic, without
// any word of it: large packets vanish, small ones pass.
func TestBlackHoleIsNoticed(t *testing.T) {
	for _, both := range []bool{true, false} {
		for seed := range seeds(8) {
			w, a, b := public(t, seed)
			w.a.Stream("b", 10*ms, time.Hour)
			if both {
				w.b.Stream("a", 10*ms, time.Hour)
			}
			w.Run(10*time.Second + time.Duration(seed)*283*ms)
			w.Connect(a, b, pathtest.Link{Delay: 10 * ms, MTU: 1280})
			start := w.Now()
			if !w.RunUntil(10*time.Second, func() bool { return w.a.Set.Info("b").MTU <= 1252 }) {
				t.Fatal("not noticed")
			}
			if took := w.Now().Sub(start); took > 3*time.Second {
				t.Errorf("seed %d: noticed after %v", seed, took)
			}
			w.mtu(5*time.Second, 1280, 28)
			if w.a.Moves != 1 {
				t.Error("the path moved")
			}
			w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
			if seed > 1 {
				continue
			}
			w.mtu(10*time.Minute+5*time.Second, 1500, 28)
		}
	}
}

func TestPathThatDoesNotCarryTheBaseHasNoMTU(t *testing.T) {
	w, a, b := public(t, 1)
	w.Connect(a, b, pathtest.Link{Delay: 10 * ms, MTU: 1000})
	w.a.Stream("b", 10*ms, time.Hour)
	w.Run(time.Minute)
	if in := w.a.Set.Info("b"); in.MTU != 0 || in.InnerMTU() != 0 || !in.Endpoint.IsValid() {
		t.Errorf("info = %+v", in)
	}
	if w.a.Sized > 12 {
		t.Errorf("%d padded probes in a minute", w.a.Sized)
	}
	w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
	w.mtu(31*time.Second, 1500, 28)
}

func TestQuietPathIsNotMeasured(t *testing.T) {
	w, _, _ := public(t, 1)
	w.a.Want("b")
	w.Run(20 * time.Second)
	sized := w.a.Sized
	if sized != 2 {
		t.Errorf("%d padded probes for one packet, want one of the base and one of the top", sized)
	}
	w.Run(150 * time.Second)
	if n := w.a.Sized - sized; n != 0 || w.b.Sized != 0 {
		t.Errorf("%d padded probes of a, which is quiet, and %d of b, which never spoke", n, w.b.Sized)
	}
}

func TestNewPathIsMeasuredAnew(t *testing.T) {
	w, a, b, _ := relayed(t, 1)
	w.Connect(a, b, pathtest.Link{Delay: 10 * ms, MTU: 1400})
	w.a.Stream("b", 10*ms, time.Hour)
	resized := 0
	w.a.Watch = func(a path.Action) {
		if a.Do == path.Resized {
			resized++
		}
	}
	w.mtu(5*time.Second, 1400, 28)
	w.Connect(a, b, pathtest.Link{Cut: true})
	w.mtu(5*time.Second, 1500, 28) // the relay's
	if resized < 2 {
		t.Errorf("told of %d sizes", resized)
	}
}

func TestJumboFramesAreFoundWhereTheLinkHasThem(t *testing.T) {
	w := newWorld(t, 1)
	w.LinkMTU = 9000
	c, b := w.Node("c"), w.b.Public("198.51.100.2")
	at := c.Public("198.51.100.3")
	w.Connect(at, b, pathtest.Link{Delay: ms, MTU: 4000})
	c.Meet(w.b.Peer(b.Addr()))
	w.b.Meet(c.Peer())
	c.Stream("b", 10*ms, time.Hour)
	w.Run(10 * time.Second)
	if in := c.Set.Info("b"); in.MTU > 3972 || in.MTU <= 3972-16 {
		t.Errorf("MTU %d, want 3972 or up to 15 less", in.MTU)
	}
}

func TestLinkMTUIsChecked(t *testing.T) {
	node, secret := key.NewNode(), key.NewPath()
	for mtu, allowed := range map[int]bool{0: true, 1279: false, 1280: true, 9000: true, 9001: false, -1: false} {
		_, err := path.NewSet(path.Config{Self: node.Public(), Key: &secret, LinkMTU: mtu})
		if (err == nil) != allowed || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("LinkMTU is %d", mtu)) {
			t.Errorf("LinkMTU %d: %v", mtu, err)
		}
	}
}
