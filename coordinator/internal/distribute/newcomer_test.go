package distribute_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// newcomers gives what enrols nodes that have a tag from the first moment.
func newcomers(w *world, tag string) func() *node {
	const theirs = "a-secret-for-the-tagged"
	w.do(registry.CreateToken{ID: "tagged", Secret: registry.HashSecret(theirs), Kind: registry.EnrolToken, Tags: []string{tag}, Uses: 1000})
	return func() *node {
		n := newNode(w)
		e := n.enrolment()
		e.Secret = registry.HashSecret(theirs)
		w.do(e)
		return n
	}
}

func (n *node) report(t *testing.T, endpoints ...string) {
	t.Helper()
	var at []netip.AddrPort
	for _, e := range endpoints {
		at = append(at, netip.MustParseAddrPort(e))
	}
	if err := n.w.hub.Report(t.Context(), n.id, at, ""); err != nil {
		t.Fatal(err)
	}
}

// Record and endpoints of a newcomer come in one moment, since each costs the
// coordinator as much as both.
func TestNewcomerIsToldOfWithItsEndpoints(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		enrol := newcomers(w, "tag:b")
		enrol() // the first of its kind changes rules
		a := join(w, "tag:a")[0]
		defer a.disconnect()
		anew(a)
		n := enrol()
		rest()
		n.connect()
		defer n.disconnect()
		n.report(t) // no socket yet
		rest()
		a.nothing(t, "the newcomer did not say where it is")
		n.report(t, "192.0.2.9:7")
		rest()
		if !slices.Equal(a.order, []string{"delta", "hints"}) || a.hints[n.id] == nil {
			t.Errorf("of a newcomer that said where it is came %v", a.order)
		}
		late()
		if len(a.order) != 2 {
			t.Errorf("and later %v", a.order)
		}
	})
}

// Who does not come is told of all the same, and whoever has something else to
// hear is told at once.
func TestNewcomerIsWaitedForBriefly(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		enrol := newcomers(w, "tag:b")
		all := join(w, "tag:a", "tag:b")
		a, b := all[0], all[1]
		defer leaveAll(all[:1])
		anew(a)
		enrol()
		time.Sleep(400 * time.Millisecond)
		enrol()
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		a.nothing(t, "newcomers are waited for")
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if !slices.Equal(a.order, []string{"delta"}) || a.settled() != "" {
			t.Errorf("of two newcomers, of whom one is waited for no longer, came %v; %s", a.order, a.settled())
		}
		enrol()
		late()
		if a.got("delta") != 2 || a.settled() != "" {
			t.Errorf("of the third came %v; %s", a.order, a.settled())
		}
		anew(a)
		enrol()
		rest()
		w.do(registry.RemoveNode{Node: b.id})
		synctest.Wait()
		if !slices.Equal(a.order, []string{"revocation", "delta"}) || a.settled() != "" {
			t.Errorf("a right was taken while a newcomer was waited for: %v; %s", a.order, a.settled())
		}
		anew(a)
		late()
		a.nothing(t, "it knows the newcomer already")
	})
}

// Nobody waits for the acknowledgement of a peer that was added; for all else an
// operator may.
func TestOnlyAdditionsAreUnhurried(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		enrol := newcomers(w, "tag:b")
		enrol() // the first of its kind changes rules
		a := join(w, "tag:a")[0]
		defer a.disconnect()
		var n *node
		for _, step := range []struct {
			what string
			do   func()
			want int
		}{
			{"a join", func() { n = enrol() }, 1},
			{"a new key of a peer", func() { n.rekey() }, 0},
			{"a join and a new key in one Delta", func() { enrol(); n.rekey() }, 0},
			{"a wider policy", func() {
				w.policy(`{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []}, "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}`)
			}, 0},
			{"a removal", func() { w.do(registry.RemoveNode{Node: n.id}) }, 0},
		} {
			anew(a)
			step.do()
			late()
			if a.got("delta") != 1 || a.got("unhurried") != step.want {
				t.Errorf("%s came as %v, %d of it unhurried", step.what, a.order, a.got("unhurried"))
			}
		}
		a.disconnect()
		a.connectAs(a.standing())
		rest()
		if a.got("unhurried") != 0 {
			t.Error("what begins a stream is unhurried")
		}
	})
}

// A node that keeps its acknowledgement of additions is up to date; not for ever,
// and not if it owes one for anything else.
func TestKeptAcknowledgementCountsForAWhile(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		enrol := newcomers(w, "tag:b")
		enrol() // the first of its kind changes rules
		a := join(w, "tag:a")[0]
		defer a.disconnect()
		acknowledge := func() {
			t.Helper()
			synctest.Wait()
			if err := w.hub.Acknowledge(t.Context(), a.id, a.state.Map.Position()); err != nil {
				t.Fatal(err)
			}
		}
		current := func(want bool, why string) {
			t.Helper()
			p, err := w.hub.PresentOne(t.Context(), a.id)
			if err != nil || p.Current != want {
				t.Errorf("%s, and it is up to date: %t, %v", why, p.Current, err)
			}
		}
		acknowledge()
		for range 10 { // as long as it acknowledges now and then
			enrol()
			late()
			current(true, "a peer was added a moment ago")
			time.Sleep(wire.UnhurriedWithin)
			acknowledge()
		}
		n := enrol()
		late()
		time.Sleep(3 * wire.UnhurriedWithin)
		current(false, "it never acknowledged a peer")
		acknowledge()
		current(true, "it did so late")
		n.rekey()
		rest()
		current(false, "it does not enforce a new key")
	})
}
