package distribute_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// twoPairs lets tag:a reach tag:b, and nobody else anything.
const twoPairs = `{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []}, "acls": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b:22"]}]}`

// play runs a test in virtual time on a world under a policy.
func play(t *testing.T, policy string, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		w.policy(policy)
		defer func() { w.stop() }()
		f(t, w)
	})
}

// fourTags lets tag:c reach tag:d besides.
const fourTags = `{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": [], "tag:d": []}, "acls": [
  {"action": "accept", "src": ["tag:a"], "dst": ["tag:b:22"]}, {"action": "accept", "src": ["tag:c"], "dst": ["tag:d:22"]}]}`

// join enrols nodes with these tags, connects them, and waits until all is told.
func join(w *world, tags ...string) (out []*node) {
	for _, tag := range tags {
		n := w.enrol(tag)
		n.connect()
		out = append(out, n)
	}
	rest()
	return out
}

// rest lets all that is under way arrive, and nothing that only time brings.
func rest() {
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}

// late lets arrive what may wait for a newcomer besides.
func late() {
	time.Sleep(600 * time.Millisecond)
	synctest.Wait()
}

// anew forgets what a node was sent so far.
func anew(nodes ...*node) {
	for _, n := range nodes {
		n.mu.Lock()
		n.counts, n.bytes, n.order = map[string]int{}, 0, nil
		n.mu.Unlock()
	}
}

func (n *node) got(kind string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts[kind]
}

func (n *node) nothing(t *testing.T, why string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.order) > 0 {
		t.Errorf("%s was sent %v: %s", n.id, n.order, why)
	}
}

func leaveAll(nodes []*node) {
	for _, n := range nodes {
		n.disconnect()
	}
}

func TestLeaseEveryMinuteAndSignOfLifeBetween(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b", "tag:c")
		defer leaveAll(all)
		anew(all...)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for _, n := range all {
			if leases, beats := n.got("lease"), n.got("heartbeat"); leases != 5 || beats != 5 {
				t.Errorf("%s got %d leases and %d heartbeats in 5 minutes: %v", n.id, leases, beats, n.order)
			}
		}
	})
}

func TestChangesOfOneMomentAreOneDelta(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b")
		defer leaveAll(all)
		anew(all...)
		for range 50 { // 100 changes, and no moment passes between them
			w.enrol("tag:b")
		}
		late()
		if n := all[0].got("delta"); n != 1 {
			t.Errorf("100 changes at once came as %d Deltas", n)
		}
		if wrong := all[0].settled(); wrong != "" {
			t.Error(wrong)
		}
	})
}

func TestCommentInThePolicySendsNothing(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b", "tag:c")
		defer leaveAll(all)
		anew(all...)
		w.policy("// A comment.\n" + twoPairs)
		rest()
		for _, n := range all {
			n.nothing(t, "a comment changes nobody's map")
		}
	})
}

func TestJoinIsToldToThoseWhoMaySeeItAlone(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:a", "tag:b", "tag:c", "tag:c")
		defer leaveAll(all)
		anew(all...)
		w.enrol("tag:b")
		late()
		for _, n := range all[2:] {
			n.nothing(t, "it cannot see who joined")
		}
		for _, n := range all[:2] {
			if n.got("delta") != 1 || n.bytes > 700 {
				t.Errorf("%s got %v, %d bytes, for one new peer", n.id, n.order, n.bytes)
			}
		}
	})
}

func TestNodeThatStandsRightIsToldSo(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b")
		defer leaveAll(all)
		a := all[0]
		a.disconnect()
		w.enrol("tag:c") // a later revision, in which nothing is new for a
		a.connect()
		rest()
		if a.got("current") != 1 || a.got("full")+a.got("delta") > 0 || a.got("lease") != 1 {
			t.Errorf("it stood right, and got %v", a.order)
		}
		a.disconnect()
		lie := a.standing()
		lie.Digest[0]++
		a.connectAs(lie)
		rest()
		if a.got("current") != 0 || a.got("full") != 1 {
			t.Errorf("its digest was wrong at the present revision, and it got %v", a.order)
		}
		a.disconnect()
		w.enrol("tag:b")
		a.connect()
		rest()
		if a.got("current") != 0 || a.got("full") != 1 {
			t.Errorf("it missed a peer, and got %v", a.order)
		}
	})
}

// A reader that takes nothing costs its neighbours nothing, and gets the sum of
// what it missed.
func TestSlowReaderDelaysNobody(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:a", "tag:b")
		defer leaveAll(all)
		slow, quick, b := all[0], all[1], all[2]
		slow.stall()
		b.rekey()
		rest()
		anew(all...)
		for range 20 {
			b.rekey()
			rest()
		}
		if n := quick.got("delta"); n != 20 {
			t.Errorf("the neighbour of a slow reader got %d of 20 changes", n)
		}
		for range 200 {
			b.rekey()
		}
		rest()
		if n := w.hub.Debt(t.Context(), slow.id); n > 130 {
			t.Errorf("the slow reader is owed one peer, and the list has %d entries", n)
		}
		slow.resume()
		rest()
		if n := slow.got("delta"); n != 2 {
			t.Errorf("the slow reader got %d Deltas, want the one that was under way and one for the rest", n)
		}
		if wrong := slow.settled(); wrong != "" {
			t.Error(wrong)
		}
	})
}

// What waits for sockets is bounded, and who reads slowly keeps the others
// waiting for a second, not for a deadline.
func TestMapsAreMadeAsFastAsTheyAreRead(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		w.hub.Bound(t.Context(), wire.MaxMessage, 1)
		all := join(w, "tag:a", "tag:a", "tag:a", "tag:a", "tag:b")
		defer leaveAll(all)
		for _, n := range all {
			n.stall()
		}
		w.hear()
		w.do(registry.BeginIncarnation{Reason: "everybody needs a Full"})
		synctest.Wait()
		if n := len(w.heard()); n != 1 {
			t.Errorf("%d maps were made while nobody read", n)
		}
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		if n := len(w.heard()); n != 3 {
			t.Errorf("%d maps were made in two seconds of nobody reading, want 3", n)
		}
		for _, n := range all[1:] {
			n.resume()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, n := range all[1:] {
			if wrong := n.settled(); wrong != "" {
				t.Errorf("%s, who reads, while another does not: %s", n.id, wrong)
			}
		}
		all[0].resume()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if wrong := all[0].settled(); wrong != "" {
			t.Error(wrong)
		}
	})
}

// Room is used the moment that a socket makes it, though nothing else happens then.
func TestRoomInFlightIsUsedAtOnce(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		w.hub.Bound(t.Context(), wire.MaxMessage, 1)
		all := join(w, "tag:a", "tag:a", "tag:a", "tag:a", "tag:b")
		defer leaveAll(all)
		anew(all...)
		w.do(registry.BeginIncarnation{Reason: "everybody needs a Full"})
		synctest.Wait() // no time passes
		for _, n := range all {
			if n.got("full") != 1 {
				t.Errorf("%s reads as fast as it can, and got %v", n.id, n.order)
			}
		}
	})
}

// A map too large for any node must not be followed by leases on the old one.
func TestMapTooLargeEndsTheStream(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		a := join(w, "tag:a")[0]
		w.hub.Bound(t.Context(), 250, 1<<20)
		anew(a)
		w.enrol("tag:b")
		w.enrol("tag:b")
		<-a.session.ended
		if !errors.Is(a.session.err, distribute.ErrTooLarge) || a.got("lease") != 0 {
			t.Errorf("the stream ended with %v, after %v", a.session.err, a.order)
		}
		p, err := w.hub.PresentOne(t.Context(), a.id)
		if err != nil || len(p.Warnings) != 1 || p.Connected || p.Current {
			t.Errorf("operators see %+v, %v", p, err)
		}
	})
}

// A change that comes between the greeting and what is sent is no "Current".
func TestCurrentIsNotSaidBesideAChange(t *testing.T) {
	play(t, fourTags, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b", "tag:c", "tag:d")
		defer leaveAll(all)
		a, b, d := all[0], all[1], all[3]
		a.disconnect()
		rest()
		d.rekey() // a moment begins, in which changes are gathered
		synctest.Wait()
		a.connect()
		synctest.Wait()
		b.rekey()
		rest()
		if a.got("current") != 0 || a.got("delta") != 1 {
			t.Errorf("it got %v", a.order)
		}
	})
}

// The bit of a removed node is not given to another while a stream still owes
// the removal.
func TestBitsAreNotGivenTooEarly(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b")
		a, b := all[0], all[1]
		defer a.disconnect()
		old := w.hub.Bit(t.Context(), b.id)
		a.stall()
		b.rekey() // so that a batch is under way
		rest()
		w.do(registry.RemoveNode{Node: b.id})
		time.Sleep(21 * time.Second)
		synctest.Wait()
		if w.hub.Bit(t.Context(), join(w, "tag:b")[0].id) == old {
			t.Error("two nodes have one bit in the slow reader's set")
		}
		a.resume()
		time.Sleep(21 * time.Second)
		synctest.Wait()
		if w.hub.Bit(t.Context(), join(w, "tag:b")[0].id) != old {
			t.Error("the bit was not given again")
		}
		late()
		if wrong := a.settled(); wrong != "" {
			t.Error(wrong)
		}
	})
}

// The revocation comes before the Delta, to those who knew the node, and to them only.
func TestRemovalIsToldToFormerPeersAtOnce(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b", "tag:b", "tag:c")
		defer leaveAll(all)
		gone := all[1]
		anew(all...)
		w.do(registry.RemoveNode{Node: gone.id})
		synctest.Wait() // no time passes
		if order := all[0].order; len(order) < 2 || order[0] != "revocation" || order[1] != "delta" {
			t.Errorf("the peer of a removed node got %v", order)
		}
		all[2].nothing(t, "it never saw the removed node")
		all[3].nothing(t, "it never saw the removed node")
		<-gone.session.ended
		if !errors.Is(gone.session.err, distribute.ErrGone) {
			t.Errorf("the removed node's stream ended with %v", gone.session.err)
		}
		gone.connect()
		<-gone.session.ended
		if !errors.Is(gone.session.err, distribute.ErrGone) {
			t.Errorf("the removed node was let in again: %v", gone.session.err)
		}
		if err := w.hub.Report(t.Context(), gone.id, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:1")}, ""); err != nil {
			t.Error(err)
		}
		if present, err := w.hub.Present(t.Context()); err != nil || len(present) != 3 {
			t.Errorf("%d nodes are present, %v: what a removed node says must leave nothing behind", len(present), err)
		}
	})
}

// Who loses a right is told before those who only gain one.
func TestNarrowingGoesFirst(t *testing.T) {
	play(t, fourTags, func(t *testing.T, w *world) {
		all := join(w, "tag:c", "tag:c", "tag:c", "tag:c", "tag:a", "tag:b", "tag:d")
		defer leaveAll(all)
		w.do(newNode(w).enrolment()) // so that the next one's tag is the only change
		fresh := w.enrol()
		rest()
		w.hear()
		w.do(registry.TagNode{Node: fresh.id, Tags: []string{"tag:d"}})  // every c gains a peer
		w.do(registry.TagNode{Node: all[5].id, Tags: []string{"tag:c"}}) // a and b lose each other
		rest()
		if order := w.heard(); len(order) < 6 || !slices.Contains(order[:2], all[4].id) {
			t.Errorf("the order is %v; %s, which loses a right, should come first", order, all[4].id)
		}
	})
}

// Streams that stand when the map key is renewed learn the new one in time.
func TestNewMapKeyComesBeforeWhatItSigns(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b")
		defer leaveAll(all)
		anew(all...)
		w.renew()
		all[1].rekey()
		rest()
		if order := all[0].order; len(order) < 2 || order[0] != "keys" || order[1] != "delta" {
			t.Errorf("after the map key was renewed a node got %v", order)
		}
	})
}

func TestStoppedHubEndsEveryStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		w.policy(twoPairs)
		all := join(w, "tag:a", "tag:b")
		all[0].stall()
		w.stop()
		<-all[1].session.ended
		if !errors.Is(all[1].session.err, distribute.ErrClosed) {
			t.Errorf("the stream ended with %v", all[1].session.err)
		}
		all[0].disconnect()
		if err := w.hub.Follow(t.Context(), all[0].standing(), func([]*wire.FollowResponse) error { return nil }); !errors.Is(err, distribute.ErrClosed) {
			t.Errorf("a stopped hub answers %v", err)
		}
		if _, err := w.hub.Present(context.Background()); !errors.Is(err, distribute.ErrClosed) {
			t.Errorf("a stopped hub answers %v", err)
		}
	})
}

// Bits of removed nodes are given again, or years of coming and going would
// make every stream's set of peers large.
func TestComingAndGoingLeavesNothingBehind(t *testing.T) {
	play(t, twoPairs, func(t *testing.T, w *world) {
		a := join(w, "tag:a")[0]
		defer a.disconnect()
		for range 100 {
			n := w.enrol("tag:b")
			rest()
			w.do(registry.RemoveNode{Node: n.id})
			time.Sleep(21 * time.Second)
			synctest.Wait()
		}
		if kept := w.hub.RulesKept(t.Context()); kept > 10 {
			t.Errorf("%d rule sets are kept for a handful of nodes", kept)
		}
		if held := w.hub.PeerSetSize(t.Context(), a.id); held > 1 {
			t.Errorf("after 100 nodes came and went the set of peers has %d words", held)
		}
	})
}

func TestLookupTellsOwnRulesOnly(t *testing.T) {
	const policy = `{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []}, "acls": [
  {"id": "one", "action": "accept", "src": ["tag:a"], "dst": ["tag:b:22"]},
  {"id": "two", "action": "accept", "src": ["tag:c"], "dst": ["tag:c:22"]}]}`
	play(t, policy, func(t *testing.T, w *world) {
		a := w.enrol("tag:a")
		w.enrol("tag:b")
		found, err := w.hub.LookupRules(t.Context(), a.id, []string{"one", "two"}, w.registry.Snapshot().Revision)
		if err != nil || len(found) != 1 || found[0].Id != "one" || found[0].Line != 2 {
			t.Errorf("it was told %v, %v", found, err)
		}
	})
}
