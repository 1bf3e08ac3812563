package distribute_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// wantedSeats gives the seats at a node as the compiler should be told of them.
func wantedSeats(s *registry.State, mesh *compile.Mesh, n *registry.Node) (all []compile.Seat) {
	for _, one := range s.SortedSessions() {
		if one.Node == n.ID && one.Seat != "" {
			facts, _ := knownOf(s, mesh, n, one.Seat)
			all = append(all, compile.Seat{Session: one.ID, Addrs: one.Addresses, Facts: facts})
		}
	}
	return all
}

// toldSeats gives them as nodes should.
func toldSeats(mesh *compile.Mesh, id string) (all []wire.Seat) {
	for _, s := range mesh.Seats(id) {
		all = append(all, wire.Seat{Session: s.Session, Addresses: s.Addrs, Prefixes: s.Prefixes, Facts: s.Facts})
	}
	return all
}

const kiosks = `{"tagOwners": {"tag:ehr": [], "tag:kiosk": [], "tag:scanner": []}, "grants": [
  {"id": "ehr", "src": ["ana@clinic.example", "ben@clinic.example"], "srcDevice": ["tag:kiosk"], "dst": ["tag:ehr"], "ip": ["443"]},
  {"id": "fresh", "src": ["ana@clinic.example"], "srcDevice": ["tag:kiosk"], "dst": ["tag:ehr"], "ip": ["444"], "when": {"mfa": {"within": "15m"}}},
  {"id": "idle", "src": ["ana@clinic.example"], "srcDevice": ["tag:kiosk"], "dst": ["tag:ehr"], "ip": ["445"], "when": {"idle": "10m"}},
  {"id": "kiosk", "src": ["tag:kiosk"], "dst": ["tag:ehr"], "ip": ["80"]}, {"id": "scan", "src": ["tag:scanner"], "dst": ["tag:scanner"], "ip": ["22"]}]}`

// sit signs somebody in at a seat.
func (w *world) sit(n *node, id, seat, login string) *registry.Session {
	w.t.Helper()
	return w.do(registry.BeginSession{ID: id, Node: n.id, Seat: seat, Life: 12 * time.Hour, Who: registry.Identity{
		Issuer: "https://id.example", Subject: login, Login: login, AMR: []string{"pwd", "otp"}, At: time.Now()}}).Session
}

// peer gives what a node holds of another.
func (n *node) peer(of *node) wire.PeerRecord {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.Map.Peers[of.id]
}

func (n *node) rules() acl.RuleSet {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.Map.Rules
}

// Who signs in at a seat is told of to those who may be reached, and to the machine,
// as one small record; no rule changes, and nobody else hears anything. The machine
// itself and its other seats have nothing of it.
func TestLoginAtASeatIsOneSmallRecord(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		w.do(registry.RequireSignIn{Required: true})
		all := join(w, "tag:ehr", "tag:kiosk", "tag:scanner")
		ehr, kiosk := all[0], all[1]
		defer leaveAll(all)
		late()
		rules := wire.RulesDigest(ehr.rules())
		var seats []wire.Seat
		for i, login := range []string{"ana@clinic.example", "ben@clinic.example", "cem@clinic.example"} {
			anew(all...)
			s := w.sit(kiosk, fmt.Sprint("s", i), fmt.Sprint(1000+i), login)
			rest()
			for _, n := range []*node{ehr, kiosk} {
				if n.got("delta") != 1 || n.got("full")+n.got("unhurried") > 0 || n.bytes > 700 || (i > 0 || n == ehr) && (n.bytes > 450 || n.got("seats") != 1) {
					t.Errorf("%s was sent %v, %d bytes", n.id, n.order, n.bytes)
				}
			}
			all[2].nothing(t, "may not be reached from there")
			if seats = ehr.peer(kiosk).Seats; len(seats) != i+1 || seats[i].Session != s.ID || !slices.Equal(seats[i].Addresses, s.Addresses) || len(kiosk.self().Seats) != i+1 {
				t.Fatalf("of %s it is told %+v", login, seats)
			}
		}
		if wire.RulesDigest(ehr.rules()) != rules {
			t.Error("rules changed with logins")
		}
		if facts := ehr.peer(kiosk).Facts; len(facts) > 0 || len(kiosk.self().Facts) > 0 {
			t.Errorf("the machine itself has %v", facts)
		}
		if a, b, c := len(seats[0].Facts), len(seats[1].Facts), len(seats[2].Facts); a != 5 || b != 4 || c != 3 {
			t.Errorf("facts of ana %v, ben %v, cem %v", seats[0].Facts, seats[1].Facts, seats[2].Facts)
		}
		if own := kiosk.self().Sessions; len(own) != 3 || own[1].Seat != "1001" {
			t.Errorf("the machine is told %+v", own)
		}
		anew(all...)
		w.do(registry.EndSessions{ID: "s0"})
		rest()
		if seats = ehr.peer(kiosk).Seats; len(seats) != 2 || seats[0].Session != "s1" {
			t.Errorf("signed out, and told of are %+v", seats)
		}
		if own := kiosk.self(); len(own.Seats) != 2 || len(own.Sessions) != 2 || own.Sessions[0].ID != "s1" {
			t.Errorf("signed out, and the machine is told %+v", own)
		}
		for _, n := range []*node{ehr, kiosk} {
			if n.bytes > 120 || n.got("seats") != 1 {
				t.Errorf("of a sign-out %s was sent %v, %d bytes", n.id, n.order, n.bytes)
			}
		}
	})
}

// What somebody does at a seat moves the end of their idleness, and of nobody else's.
// Another policy has the facts of seats weighed anew.
func TestActivityAndPolicyAtASeat(t *testing.T) {
	play(t, kiosks, func(t *testing.T, w *world) {
		all := join(w, "tag:ehr", "tag:kiosk")
		ehr, kiosk := all[0], all[1]
		defer leaveAll(all)
		late()
		w.sit(kiosk, "s1", "1000", "ana@clinic.example")
		w.sit(kiosk, "s2", "1001", "ben@clinic.example")
		rest()
		idle := func(seat int) (until time.Time) {
			for _, f := range ehr.peer(kiosk).Seats[seat].Facts {
				if f.Fact == (&policy.Session{Idle: 10 * time.Minute}).Fact() {
					until = f.Until
				}
			}
			return until
		}
		before := [2]time.Time{idle(0), idle(1)}
		if before[0].IsZero() || kiosk.self().ActiveEvery == 0 {
			t.Fatalf("ana's idleness ends at %v, the machine tells every %v", before, kiosk.self().ActiveEvery)
		}
		time.Sleep(5 * time.Minute)
		w.do(registry.NoteActive{Of: map[registry.Sitting]registry.Activity{{Node: kiosk.id, Session: "s1"}: {At: time.Now()}, {Node: kiosk.id}: {At: time.Now()}}})
		rest()
		if now := time.Now().Add(-time.Second); idle(0).Before(now.Add(10*time.Minute)) || !idle(1).Equal(before[1]) {
			t.Errorf("idle ends at %v and %v, before at %v", idle(0), idle(1), before)
		}
		w.policy(`{"tagOwners": {"tag:ehr": [], "tag:kiosk": []}, "grants": [{"src": ["tag:kiosk"], "dst": ["tag:ehr"], "ip": ["80"]}]}`)
		rest()
		w.sit(kiosk, "s3", "1002", "cem@clinic.example")
		rest()
		if seats := ehr.peer(kiosk).Seats; len(seats) != 3 || len(seats[0].Facts)+len(seats[2].Facts) > 0 {
			t.Errorf("no rule asks, and told is %+v", seats)
		}
		w.policy(kiosks)
		rest()
		if seats := ehr.peer(kiosk).Seats; len(seats) != 3 || len(seats[0].Facts) != 4 || len(seats[2].Facts) != 2 {
			t.Errorf("after an edit: %+v", seats)
		}
	})
}
