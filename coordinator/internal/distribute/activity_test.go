package distribute_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Whoever works on is not idle: each activity moves the end of what asks for it, and
// of nothing else, at the person's machine and at those that may be reached; after a
// restart too, for it is in the journal.
func TestActivityMovesTheEndOfIdleness_A52(t *testing.T) {
	play(t, proofs, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr")
		ana := w.enrol()
		ana.connect()
		all = append(all, ana)
		defer leaveAll(all)
		late()
		w.signIn(ana, "s1")
		rest()
		wanted := (&policy.Session{Idle: 10 * time.Minute}).Fact()
		ends := func() (idle, fresh time.Time) {
			t.Helper()
			for _, f := range all[0].factsOf(ana) {
				switch f.Fact {
				case wanted:
					idle = f.Until
				default:
					fresh = f.Until
				}
			}
			return idle, fresh
		}
		idle, fresh := ends()
		if every := ana.self().ActiveEvery; every != 150*time.Second || all[0].self().ActiveEvery != 0 {
			t.Errorf("who sits there tells every %s, a server every %s", every, all[0].self().ActiveEvery)
		}
		time.Sleep(8 * time.Minute)
		now := time.Now()
		w.do(registry.NoteActive{Of: map[registry.Sitting]registry.Activity{{Node: ana.id}: {At: now, Pause: 8 * time.Minute}}})
		rest()
		idle2, fresh2 := ends()
		if !idle2.Equal(now.Truncate(time.Second).Add(10*time.Minute)) || !idle2.After(idle) || !fresh2.Equal(fresh) {
			t.Errorf("idle ended at %s, now at %s; fresh at %s, now at %s", idle, idle2, fresh, fresh2)
		}
		if own := ana.self().Facts; len(own) != 2 {
			t.Errorf("the machine itself is told %v", own)
		}
		time.Sleep(11 * time.Minute)
		w.do(registry.NoteActive{Of: map[registry.Sitting]registry.Activity{{Node: ana.id}: {At: time.Now(), Pause: 11 * time.Minute}}})
		rest()
		if idle3, _ := ends(); !idle3.IsZero() {
			t.Errorf("who comes back after eleven minutes finds open until %s what an idleness of ten has ended", idle3)
		}
		w.signIn(ana, "s2")
		rest()
		if idle2, fresh = ends(); idle2.IsZero() || fresh.IsZero() {
			t.Error("a new proof opens nothing")
		}
		anew(all...)
		w.stop()
		var err error
		if w.registry, err = registry.New(t.Context(), w.journal, registry.Config{Clock: w.clock}); err != nil {
			t.Fatal(err)
		}
		w.run()
		for _, n := range all {
			n.connect()
		}
		late()
		if all[0].got("current") != 1 || ana.got("current") != 1 {
			t.Errorf("after a restart: %v and %v", all[0].counts, ana.counts)
		}
		if again, _ := ends(); !again.Equal(idle2) {
			t.Errorf("after a restart idle ends at %s, before at %s", again, idle2)
		}
		w.policy(openNothing)
		rest()
		if every := ana.self().ActiveEvery; every != 0 {
			t.Errorf("nobody asks, and the node tells every %s", every)
		}
	})
}

// self gives what a node holds of itself.
func (n *node) self() wire.SelfRecord {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.Map.Self
}
