package path_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// flowsAgain lets time pass until data that left after now has come in at both
// ends, and fails if that takes longer than it may.
func (w *world) flowsAgain(what string, most time.Duration) {
	w.t.Helper()
	start := w.Now()
	since := start.Add(80 * ms) // what was on its way does not count
	flows := func() bool { return w.a.LastData.After(since) && w.b.LastData.After(since) }
	if !w.RunUntil(20*time.Second, flows) {
		w.t.Fatalf("%s: no data flows after 20 s: a by %v, b by %v", what, w.a.Paths["b"], w.b.Paths["a"])
	}
	if took := w.Now().Sub(start); took > most {
		w.t.Errorf("%s: data flows after %v, want at most %v", what, took, most)
	}
}

// TestTrafficFlowsAgainSoonAfterEveryChange puts a, whom everything happens to,
// behind each kind of NAT, and b behind a home router.
func TestTrafficFlowsAgainSoonAfterEveryChange(t *testing.T) {
	for _, kind := range append(pathtest.Usual(), pathtest.Behaviour{Name: "masquerade", Mapping: 2, Filtering: 2, Preserve: true}) {
		for seed := range seeds(5) {
			t.Run(fmt.Sprintf("%s/%d", kind.Name, seed), func(t *testing.T) { changes(t, kind, seed) })
		}
	}
}

func changes(t *testing.T, kind pathtest.Behaviour, seed uint64) {
	w := newWorld(t, seed)
	w.STUN("203.0.113.1")
	w.Default = pathtest.Link{Delay: 20 * ms, Jitter: 5 * ms}
	r := w.Relay("r", 15*ms)
	wifi, ward, lte := w.NAT("wifi", "192.0.2.1", kind), w.NAT("ward", "192.0.2.3", kind), w.NAT("lte", "192.0.2.4", pathtest.Symmetric())
	a := w.a.Private("wifi", "10.0.0.2", wifi)
	bNAT := w.NAT("home", "192.0.2.2", pathtest.HomeRouter())
	w.b.Private("home", "10.1.0.2", bNAT)
	w.a.SetHome(r)
	w.b.SetHome(r)
	w.Introduce(w.a, w.b)
	w.a.Stream("b", 20*ms, time.Hour)
	w.b.Stream("a", 20*ms, time.Hour)
	settle := func() { w.Run(15*time.Second + time.Duration(seed)*137*ms) }
	change := func(what string, do func()) {
		settle()
		do()
		w.flowsAgain(what, 3*time.Second)
	}
	change("NAT reboots", wifi.Reboot)
	change("the peer's NAT reboots", bNAT.Reboot)
	change("new lease", func() { a.SetAddr("10.0.0.77"); w.a.NetworkChanged() })
	change("new lease, untold", func() { a.SetAddr("10.0.0.78") })
	change("provider renumbers", func() { wifi.Renumber("192.0.2.99") })
	change("from Wi-Fi to the ward", func() { a.Roam("ward", "10.2.0.2", ward); w.a.NetworkChanged() })
	change("from the ward to LTE", func() { a.Roam("lte", "100.70.0.2", lte); w.a.NetworkChanged() })
	change("to a network that blocks UDP", func() {
		a.SetWall(pathtest.UDPBlocked)
		a.Roam("wifi", "10.0.0.5", wifi)
		w.a.NetworkChanged()
	})
	change("and back", func() { a.SetWall(pathtest.NoWall); a.Roam("wifi", "10.0.0.2", wifi); w.a.NetworkChanged() })
	settle()
	for range 20 { // an interface that flaps
		a.SetDown(true)
		w.a.NetworkChanged()
		w.Run(300 * ms)
		a.SetDown(false)
		w.a.NetworkChanged()
		w.Run(200 * ms)
	}
	w.flowsAgain("interface that flapped", 3*time.Second)
	settle()
	if kind.Mapping == pathtest.EndpointIndependent && (!w.a.At("b").IsValid() || !w.b.At("a").IsValid()) {
		t.Errorf("after all, a sends by %v, b by %v", w.a.Paths["b"], w.b.Paths["a"])
	}
}

// TestSleepAndResume freezes a: its clock stops, its NAT forgets it, its peer
// gives it up; then it wakes, here or elsewhere.
func TestSleepAndResume(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		for _, slept := range []time.Duration{10 * time.Second, 10 * time.Minute, 8 * time.Hour} {
			w := newWorld(t, 1)
			w.STUN("203.0.113.1")
			r := w.Relay("r", 15*ms)
			home, hotel := w.NAT("home", "192.0.2.1", pathtest.HomeRouter()), w.NAT("hotel", "192.0.2.3", pathtest.Symmetric())
			a := w.a.Private("home", "10.0.0.2", home)
			w.b.Private("ward", "10.1.0.2", w.NAT("ward", "192.0.2.2", pathtest.HomeRouter()))
			w.a.SetHome(r)
			w.b.SetHome(r)
			w.Introduce(w.a, w.b)
			w.a.Stream("b", 50*ms, 24*time.Hour)
			w.b.Stream("a", 50*ms, 24*time.Hour)
			w.Run(10 * time.Second)
			w.a.Freeze(slept)
			w.Run(slept)
			if elsewhere {
				a.Roam("hotel", "10.9.0.2", hotel)
			}
			w.a.NetworkChanged()
			w.flowsAgain(fmt.Sprintf("slept %v, elsewhere %v", slept, elsewhere), 3*time.Second)
		}
	}
}

// TestNATThatForgetsSoonerThanOthers has mappings die after 12 s without a packet
// from inside: the pace on a quiet path adapts when that is noticed.
func TestNATThatForgetsSoonerThanOthers(t *testing.T) {
	for _, mapping := range []pathtest.Dependence{pathtest.EndpointIndependent, pathtest.AddressAndPortDependent} {
		w := newWorld(t, 1)
		kind := pathtest.Behaviour{Mapping: mapping, Filtering: pathtest.AddressAndPortDependent, Life: 12 * time.Second}
		w.a.Private("home", "10.0.0.2", w.NAT("home", "192.0.2.1", kind))
		w.a.Meet(w.b.Peer(w.b.Public("198.51.100.2").Addr()))
		w.b.Meet(w.a.Peer())
		w.a.Want("b")
		w.Run(time.Minute) // the first mapping dies in this
		lost := 0
		for round := range 60 {
			before := w.a.Received
			w.b.SendTo("a", w.b.Paths["a"], []byte{4, 0, 0, 0})
			w.Run(100 * ms)
			if w.a.Received == before {
				lost++
			}
			w.Run(time.Duration(1500+round) * ms)
		}
		if lost > 0 {
			t.Errorf("mapping %d: %d of 60 datagrams to a quiet peer are lost", mapping, lost)
		}
		if w.a.Asked > 45 {
			t.Errorf("mapping %d: %d probes in %v", mapping, w.a.Asked, w.Now().Sub(begin))
		}
	}
}

func TestPeerThatRoamsWhileBothAreQuietIsFoundWhenItSpeaks(t *testing.T) {
	w, a, _, r := relayed(t, 1)
	w.a.Want("b")
	w.b.Want("a")
	w.Run(60 * time.Second)
	a.SetAddr("198.51.100.77")
	w.a.NetworkChanged()
	if !w.RunUntil(3*time.Second, func() bool { return w.b.Paths["a"] == path.Direct(a.Addr()) }) {
		t.Errorf("b sends by %v", w.b.Paths["a"])
	}
	_ = r
}
