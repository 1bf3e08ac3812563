package distribute_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// whoSits gives the sessions that have a seat at a machine, as a node is told.
func (n *node) whoSits(at *node) (sessions []string) {
	for _, s := range n.peer(at).Seats {
		sessions = append(sessions, s.Session)
	}
	return sessions
}

// A build from before there were changes of seats is told whole records, and knows as much.
func TestOldNodesAreToldWholeRecords(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		ehr, old, kiosk := w.enrol("tag:ehr"), w.enrol("tag:ehr"), w.enrol("tag:kiosk")
		old.old, kiosk.old = true, true
		all := []*node{ehr, old, kiosk}
		defer leaveAll(all)
		for _, n := range all {
			n.connect()
		}
		late()
		w.sit(kiosk, "s1", "1001", "ana@clinic.example")
		w.sit(kiosk, "s2", "1002", "ben@clinic.example")
		rest()
		anew(all...)
		w.do(registry.EndSessions{ID: "s1"})
		rest()
		for _, n := range []*node{ehr, old} {
			if got := n.whoSits(kiosk); !slices.Equal(got, []string{"s2"}) {
				t.Errorf("%s is told of %v", n.id, got)
			}
		}
		if got := kiosk.self(); len(got.Seats) != 1 || len(got.Sessions) != 1 {
			t.Errorf("the machine is told %+v", got)
		}
		if ehr.got("seats") != 1 || old.got("seats") != 0 || kiosk.got("seats") != 0 {
			t.Errorf("changes by themselves: %d, to older builds %d and %d", ehr.got("seats"), old.got("seats"), kiosk.got("seats"))
		}
	})
}

// What a slow reader missed is told as one change, if nobody was told of a part of it.
// Who holds another record than that from which the change leads gets the whole.
func TestSlowReadersOfSeats(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr", "tag:ehr", "tag:kiosk")
		slow, other, kiosk := all[0], all[1], all[2]
		defer leaveAll(all)
		late()
		come := func(first, last int) {
			for i := first; i <= last; i++ {
				w.sit(kiosk, fmt.Sprint("s", i), fmt.Sprint(1000+i), fmt.Sprintf("p%d@clinic.example", i))
				rest()
			}
		}
		come(0, 0)
		anew(all...)
		slow.stall()
		come(1, 3) // one is on its way, and of two the slow one missed the first
		slow.resume()
		rest()
		if slow.got("seats") != 1 || slow.got("delta") != 2 || other.got("seats") != 3 {
			t.Errorf("of three changes the slow one got %v, the other %v", slow.counts, other.counts)
		}
		anew(all...)
		slow.stall()
		other.stall()
		come(4, 6)
		w.do(registry.EndSessions{ID: "s1"})
		slow.resume()
		other.resume()
		rest()
		for _, n := range []*node{slow, other} {
			if n.got("seats") != 2 || n.got("delta") != 2 {
				t.Errorf("of changes that nobody heard of %s got %v", n.id, n.counts)
			}
			if got := n.whoSits(kiosk); !slices.Equal(got, []string{"s0", "s2", "s3", "s4", "s5", "s6"}) {
				t.Errorf("%s is told of %v", n.id, got)
			}
		}
	})
}

// A change of seats says nothing to who has no record of the machine, whatever else
// that one owes.
func TestWhoSeesAMachineAnewIsToldAllOfIt(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr", "tag:scanner", "tag:kiosk")
		ehr, scanner, kiosk := all[0], all[1], all[2]
		defer leaveAll(all)
		late()
		w.sit(kiosk, "s1", "1001", "ana@clinic.example")
		rest()
		scanner.stall()
		w.do(registry.RequireSignIn{Required: true}) // on its way to the scanner while it reads nothing
		rest()
		w.policy(strings.Replace(kiosks, `"src": ["tag:kiosk"], "dst": ["tag:ehr"]`, `"src": ["tag:kiosk"], "dst": ["tag:ehr", "tag:scanner"]`, 1))
		rest()
		anew(all...)
		w.sit(kiosk, "s2", "1002", "ben@clinic.example")
		rest()
		scanner.resume()
		rest()
		if ehr.got("seats") != 1 || scanner.got("seats") != 0 {
			t.Errorf("the server was told %v, the scanner %v", ehr.counts, scanner.counts)
		}
		if got := scanner.whoSits(kiosk); !slices.Equal(got, []string{"s1", "s2"}) {
			t.Errorf("the scanner is told of %v", got)
		}
	})
}

// Who comes back with the right map, and who was told of nothing since nothing came of it,
// stands where a change of seats leads on from.
func TestChangesOfSeatsGoOn(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr", "tag:kiosk")
		ehr, kiosk := all[0], all[1]
		defer leaveAll(all)
		late()
		w.sit(kiosk, "s1", "1001", "ana@clinic.example")
		rest()
		next := 2
		goesOn := func(after string) {
			t.Helper()
			anew(all...)
			w.sit(kiosk, fmt.Sprint("s", next), fmt.Sprint(1000+next), fmt.Sprintf("p%d@clinic.example", next))
			next++
			rest()
			for _, n := range all {
				if n.got("seats") != 1 || n.got("delta") != 1 {
					t.Errorf("after %s %s is told %v", after, n.id, n.counts)
				}
			}
		}
		for _, n := range all {
			n.disconnect()
			n.connect()
		}
		rest()
		if ehr.got("current") != 1 || kiosk.got("current") != 1 {
			t.Fatalf("back again: %v, %v", ehr.counts, kiosk.counts)
		}
		goesOn("a pause")
		w.sit(kiosk, "short", "999", "cem@clinic.example")
		synctest.Wait() // the hub knows of it, and told nobody
		w.do(registry.EndSessions{ID: "short"})
		rest()
		goesOn("who came and went in one moment")
	})
}

// Who comes first to a machine is told of by themselves, also after the last one went; not
// where more than that is new of the machine, nor to who knows nothing of it yet.
func TestFirstWhoSitsIsAChangeOfSeats(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr", "tag:ehr", "tag:kiosk")
		ehr, absent, kiosk := all[0], all[1], all[2]
		defer leaveAll(all)
		late()
		absent.disconnect()
		for i := range 2 {
			anew(ehr)
			s := w.sit(kiosk, fmt.Sprint("s", i), "1001", "ana@clinic.example")
			rest()
			if ehr.got("seats") != 1 || ehr.got("delta") != 1 || ehr.bytes > 450 || !slices.Equal(ehr.whoSits(kiosk), []string{s.ID}) {
				t.Errorf("of the first it is told %v in %d bytes, and there sits %v", ehr.counts, ehr.bytes, ehr.whoSits(kiosk))
			}
			w.do(registry.EndSessions{ID: s.ID})
			rest()
		}
		absent.connect()
		rest()
		anew(ehr, absent)
		kiosk.rekey()
		w.sit(kiosk, "s9", "1001", "ana@clinic.example")
		rest()
		for _, n := range []*node{ehr, absent} {
			if n.got("seats") != 0 || !slices.Equal(n.whoSits(kiosk), []string{"s9"}) || n.peer(kiosk).TunnelKey != kiosk.tunnel.Public() {
				t.Errorf("of new keys and the first who sits it is told %v: %+v", n.counts, n.peer(kiosk))
			}
		}
	})
}

// Where most have gone it is less to say who stays.
func TestManyWhoGoAtOnce(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr", "tag:kiosk")
		ehr, kiosk := all[0], all[1]
		defer leaveAll(all)
		late()
		for i := range 20 {
			w.sit(kiosk, fmt.Sprint("session-with-the-length-that-an-id-has-", 10+i), fmt.Sprint(1000+i), fmt.Sprintf("p%d@clinic.example", i))
		}
		rest()
		anew(all...)
		w.do(registry.EndSessions{Node: kiosk.id})
		rest()
		if ehr.got("seats") != 0 || ehr.got("delta") != 1 || ehr.bytes > 500 || len(ehr.whoSits(kiosk)) != 0 {
			t.Errorf("%v in %d bytes, and there sit %v", ehr.counts, ehr.bytes, ehr.whoSits(kiosk))
		}
	})
}

// A sign-out waits for nothing, not even for the moment in which a sign-in waits for more
// of its kind.
func TestSignOutAtASeatIsToldAtOnce(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr", "tag:kiosk")
		ehr, kiosk := all[0], all[1]
		defer leaveAll(all)
		late()
		w.sit(kiosk, "s1", "1001", "ana@clinic.example")
		w.sit(kiosk, "s2", "1002", "ben@clinic.example")
		rest()
		anew(all...)
		w.sit(kiosk, "s3", "1003", "cem@clinic.example")
		synctest.Wait() // no time passes
		if got := ehr.whoSits(kiosk); len(got) != 2 {
			t.Fatalf("told at once of a sign-in: %v", got)
		}
		w.do(registry.EndSessions{ID: "s1"})
		synctest.Wait()
		if got := ehr.whoSits(kiosk); !slices.Equal(got, []string{"s2", "s3"}) || ehr.got("seats") != 1 {
			t.Errorf("after a sign-out told of are %v, by %v", got, ehr.counts)
		}
	})
}

// TestAnySeats: whoever comes and goes at shared machines, whatever else changes there, to
// builds old and new, fast and slow, connected or not: every map that a node was given is
// the one that a fresh compilation gives.
func TestAnySeats(t *testing.T) {
	played, told := 0, int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		if played++; played > histories {
			return
		}
		inBubble(t, func() {
			d := &drama{T: rt, w: begin(rt)}
			defer d.end()
			d.w.policy(kiosks)
			for _, tag := range []string{"tag:ehr", "tag:ehr", "tag:kiosk", "tag:kiosk"} {
				n := d.w.enrol(tag)
				n.connect()
				d.nodes = append(d.nodes, n)
			}
			late()
			steps := []func(){d.sit, d.sit, d.sit, d.sit, d.stand, d.stand, d.stand, d.work, d.stall, d.resume, d.connect, d.disconnect, d.route, d.rekey, d.require, d.reword}
			for range rapid.IntRange(5, 40).Draw(rt, "steps") {
				steps[rapid.IntRange(0, len(steps)-1).Draw(rt, "step")]()
				if rapid.Bool().Draw(rt, "pause") {
					time.Sleep(time.Duration(rapid.IntRange(0, 20).Draw(rt, "ms")) * time.Millisecond)
					synctest.Wait()
				}
			}
			d.calm()
			told += d.w.reseated.Load()
		})
	})
	if told == 0 {
		t.Error("no change of seats was told by itself")
	}
}

// sit has somebody come to a shared machine.
func (d *drama) sit() {
	login := rapid.SampledFrom([]string{"ana@clinic.example", "ben@clinic.example", "cem@clinic.example"}).Draw(d.T, "who")
	at := d.nodes[2+rapid.IntRange(0, 1).Draw(d.T, "kiosk")]
	d.w.try(registry.BeginSession{ID: fmt.Sprint("s-", d.w.registry.Snapshot().Revision), Node: at.id, Life: time.Hour,
		Seat: fmt.Sprint(1000 + rapid.IntRange(0, 5).Draw(d.T, "seat")),
		Who:  registry.Identity{Issuer: "https://id.example", Subject: login, Login: login, AMR: []string{"pwd", "otp"}, At: time.Now()}})
}

// stand has somebody go.
func (d *drama) stand() {
	if all := d.w.registry.Snapshot().SortedSessions(); len(all) > 0 {
		d.w.do(registry.EndSessions{ID: all[rapid.IntRange(0, len(all)-1).Draw(d.T, "session")].ID})
	}
}

// reword sets a policy by which seats have other facts.
func (d *drama) reword() {
	d.w.policy(rapid.SampledFrom([]string{kiosks, `{"tagOwners": {"tag:ehr": [], "tag:kiosk": []}, "grants": [{"src": ["tag:kiosk"], "dst": ["tag:ehr"], "ip": ["80"]}]}`}).Draw(d.T, "policy"))
}
