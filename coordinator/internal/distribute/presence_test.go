package distribute_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

func TestCopiedStateDirectoryShows(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		one := join(w, "tag:a")[0]
		warned := func() int {
			p, err := w.hub.PresentOne(t.Context(), one.id)
			if err != nil {
				t.Fatal(err)
			}
			return len(p.Warnings)
		}
		take := func(instance, from string) {
			one.resume()
			j := one.standing()
			j.Instance, j.From = instance, netip.MustParseAddr(from)
			old := one.session
			one.connectAs(j)
			<-old.ended
			if !errors.Is(old.err, distribute.ErrReplaced) {
				t.Errorf("the older stream ended with %v", old.err)
			}
			rest()
		}
		take("run-1", "192.0.2.1") // the same run on another network
		take("run-2", "192.0.2.1") // the next run, before the old connection was noticed to be dead
		if warned() != 0 {
			t.Error("a restart looks like a copied machine")
		}
		for range 5 {
			take("run-1", "192.0.2.7")
			take("run-2", "192.0.2.1")
		}
		if warned() != 1 || w.log.count("ERROR") != 1 {
			t.Errorf("two machines in turns give %d warnings and %d lines in the log", warned(), w.log.count("ERROR"))
		}
		if w.alarms.Load() != 1 {
			t.Errorf("somebody is told to look %d times", w.alarms.Load())
		}
		time.Sleep(59 * time.Minute)
		if warned() != 1 {
			t.Error("the warning went before anybody came to look")
		}
		time.Sleep(2 * time.Minute)
		if warned() != 0 {
			t.Error("the warning stays, though the two take no turns any more")
		}
		take("run-1", "192.0.2.7")
		if warned() != 1 || w.alarms.Load() != 2 {
			t.Errorf("they are back, with %d warnings and %d alarms", warned(), w.alarms.Load())
		}
		one.disconnect()
	})
}

// A node may know a lost epoch by a lease alone. It must not be locked out until
// somebody comes who holds the revocation: perhaps nobody does.
func TestRestoredCoordinatorAsksForRevocationsOnce(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		n := join(w, "tag:a")[0]
		n.disconnect()
		w.do(registry.BeginIncarnation{Reason: "test"})
		j := n.standing()
		j.Position.Epoch += 3
		n.connectAs(j)
		<-n.session.ended
		if !errors.Is(n.session.err, distribute.ErrSurrender) {
			t.Fatalf("it knows of epochs that were lost, and its stream ended with %v", n.session.err)
		}
		if err := w.hub.Surrendered(t.Context(), n.id); err != nil {
			t.Fatal(err)
		}
		n.connectAs(j)
		rest()
		if n.got("full") != 1 || n.settled() != "" {
			t.Errorf("after it gave what it had it got %v; %s", n.order, n.settled())
		}
		n.disconnect()
	})
}

// Two revocations may have one epoch: one of the lost history, one of the
// restored. Each reaches those who knew the node.
func TestTwoRevocationsOfOneEpoch(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b", "tag:b")
		defer leaveAll(all[:1])
		all[0].stall()
		w.do(registry.RemoveNode{Node: all[1].id})
		w.do(registry.TakeRevocations{Revocations: []registry.Revocation{{Key: all[2].key.Public(), Epoch: w.registry.Snapshot().Epoch, Time: time.Now()}}})
		rest()
		all[0].resume()
		rest()
		for _, gone := range all[1:] {
			if _, heard := all[0].state.Revoked[gone.id]; !heard {
				t.Errorf("the revocation of %s did not arrive", gone.id)
			}
		}
	})
}

func TestLoopbackEndpointsStayOnTheMachine(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:a", "tag:b", "tag:c")
		defer leaveAll(all)
		near, far, b, other := all[0], all[1], all[2], all[3]
		near.disconnect()
		near.from = netip.MustParseAddr("::1")
		near.connect()
		at := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7"), netip.MustParseAddrPort("192.0.2.9:7")}
		home := "annex"
		report := func() {
			if err := w.hub.Report(t.Context(), b.id, at, home); err != nil {
				t.Fatal(err)
			}
			rest()
		}
		report()
		if got := near.hints[b.id].GetEndpoints(); !slices.Equal(got, []string{"127.0.0.1:7", "192.0.2.9:7"}) {
			t.Errorf("a viewer on the same machine is told %v", got)
		}
		if got := far.hints[b.id].GetEndpoints(); !slices.Equal(got, []string{"192.0.2.9:7"}) || !far.hints[b.id].Online {
			t.Errorf("a viewer elsewhere is told %v", got)
		}
		if got := far.hints[b.id].Relay; got != home {
			t.Errorf("a viewer is told of home relay %q", got)
		}
		if len(other.hints) > 0 {
			t.Error("a stranger is told where others are")
		}
		anew(all...)
		report()
		near.nothing(t, "the endpoints are the same")
		home = "ward"
		report()
		if got := far.hints[b.id].Relay; got != home || near.hints[b.id].Relay != home {
			t.Errorf("after it moved to another relay a viewer is told of %q", got)
		}
		b.disconnect()
		rest()
		if far.hints[b.id].Online {
			t.Error("a peer that left is still online")
		}
	})
}

// What a node says of itself counts only if it can be true.
func TestAcknowledgements(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		n := join(w, "tag:a")[0]
		defer n.disconnect()
		current := func() bool {
			p, err := w.hub.PresentOne(t.Context(), n.id)
			if err != nil {
				t.Fatal(err)
			}
			return p.Current
		}
		at := n.state.Map.Position()
		for _, nonsense := range []wire.Position{{Incarnation: at.Incarnation, Revision: 1 << 60}, {Incarnation: at.Incarnation + 1, Revision: at.Revision}, {Incarnation: at.Incarnation, Revision: at.Revision - 1}} {
			if err := w.hub.Acknowledge(t.Context(), n.id, nonsense); err != nil || current() {
				t.Errorf("%+v counts as enforced, %v", nonsense, err)
			}
		}
		if err := w.hub.Acknowledge(t.Context(), n.id, at); err != nil || !current() {
			t.Errorf("it enforces its map, and that is not seen, %v", err)
		}
	})
}
