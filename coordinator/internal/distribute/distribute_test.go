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

// patience is for how long a slow reader may keep others waiting.
const patience = time.Second

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
			if leases, beats := n.got("lease"), n.got("heartbeat"); leases != 5 || beats < 10 || beats > 15 {
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
		rest()
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
		rest()
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
		anew(all...)
		all[0].stall()
		w.do(registry.BeginIncarnation{Reason: "everybody needs a Full"})
		synctest.Wait()
		served := func() (n int) {
			for _, one := range all[1:] {
				n += one.got("full")
			}
			return n
		}
		if n := served(); n == 4 {
			t.Error("all were served at once")
		}
		time.Sleep(2 * patience)
		synctest.Wait()
		if n := served(); n != 4 {
			t.Errorf("%d of 4 were served two seconds later, while one reads nothing", n)
		}
		all[0].resume()
		time.Sleep(2 * patience)
		synctest.Wait()
		if n := all[0].got("full"); n != 1 {
			t.Errorf("the slow one got %d", n)
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
	play(t, twoPairs, func(t *testing.T, w *world) {
		all := join(w, "tag:a", "tag:b", "tag:c")
		defer leaveAll(all)
		a, b := all[0], all[1]
		a.disconnect()
		rest()
		w.do(registry.Report{Node: all[2].id, OS: "plan9", Version: "1"})
		w.enrol() // a moment begins, in which changes are gathered
		synctest.Wait()
		all[2].rekey()
		b.rekey()
		a.connect()
		synctest.Wait()
		b.rekey()
		rest()
		if a.got("current") == 1 && a.order[len(a.order)-1] == "current" {
			t.Errorf("it got %v", a.order)
		}
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
		if err := w.hub.Report(t.Context(), gone.id, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:1")}); err != nil {
			t.Error(err)
		}
		if present, err := w.hub.Present(t.Context()); err != nil || len(present) != 3 {
			t.Errorf("%d nodes are present, %v: what a removed node says must leave nothing behind", len(present), err)
		}
	})
}

// Who loses a right is told before those who only gain one.
func TestNarrowingGoesFirst(t *testing.T) {
	const policy = `{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": [], "tag:d": []}, "acls": [
  {"action": "accept", "src": ["tag:a"], "dst": ["tag:b:22"]}, {"action": "accept", "src": ["tag:c"], "dst": ["tag:d:22"]}]}`
	play(t, policy, func(t *testing.T, w *world) {
		all := join(w, "tag:c", "tag:c", "tag:c", "tag:c", "tag:a", "tag:b", "tag:d")
		defer leaveAll(all)
		w.do(newNode(w).enrolment()) // so that the next one's tag is the only change
		fresh := w.enrol()
		rest()
		w.listen = true
		w.do(registry.TagNode{Node: fresh.id, Tags: []string{"tag:d"}})  // every c gains a peer
		w.do(registry.TagNode{Node: all[5].id, Tags: []string{"tag:c"}}) // a and b lose each other
		rest()
		if len(w.signedFor) < 6 || !slices.Contains(w.signedFor[:2], all[4].id) {
			t.Errorf("the order is %v; %s, which loses a right, should come first", w.signedFor, all[4].id)
		}
	})
}

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
		report := func() {
			if err := w.hub.Report(t.Context(), b.id, at); err != nil {
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
		if len(other.hints) > 0 {
			t.Error("a stranger is told where others are")
		}
		anew(all...)
		report()
		near.nothing(t, "the endpoints are the same")
		b.disconnect()
		rest()
		if far.hints[b.id].Online {
			t.Error("a peer that left is still online")
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
		if err := w.hub.Follow(t.Context(), all[0].standing(), func(*wire.FollowResponse) error { return nil }); !errors.Is(err, distribute.ErrClosed) {
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
