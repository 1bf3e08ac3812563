package distribute_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// wards lets whoever is on duty reach what monitors patients, and a scanner work by day.
const wards = `{"tagOwners": {"tag:central": [], "tag:scanner": []},
 "schedules": {"day": {"tz": "UTC", "weekly": ["daily 08:00-20:00"]}}, "oncall": {"icu": {"ics": "icu.ics"}}, "grants": [
  {"id": "tele", "src": ["ana@clinic.example"], "dst": ["tag:central"], "ip": ["443"], "when": {"oncall": "icu"}},
  {"id": "scan", "src": ["tag:scanner"], "dst": ["tag:central"], "ip": ["22"], "when": {"schedule": "day"}}]}`

func onDuty(logins ...string) registry.Observe {
	o := registry.Observe{Duty: map[string]map[string]time.Time{"icu": {}}}
	for _, login := range logins {
		o.Duty["icu"][login] = time.Now().Add(12 * time.Hour).UTC().Truncate(time.Second)
	}
	return o
}

// factsOf gives what a node holds of a peer's facts.
func (n *node) factsOf(peer *node) []acl.FactEnd {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.Map.Peers[peer.id].Facts
}

// Who is on duty becomes a fact at those whom the duty opens, with the end of the
// duty; who is relieved before loses it.
func TestDutyIsAFactForThoseWhomItOpens(t *testing.T) {
	play(t, wards, func(t *testing.T, w *world) {
		all := join(w, "tag:central", "tag:scanner")
		ana := w.enrol()
		ana.connect()
		all = append(all, ana)
		defer leaveAll(all)
		late()
		if got := all[0].factsOf(ana); len(got) > 0 {
			t.Fatalf("nobody is on duty, and ana's record says %v", got)
		}
		w.do(onDuty("ana@clinic.example", "ben@clinic.example"))
		rest()
		got := all[0].factsOf(ana)
		if len(got) != 1 || got[0].Fact != "oncall:icu" || !got[0].Until.After(time.Now().Add(11*time.Hour)) || len(all[0].factsOf(all[1])) > 0 {
			t.Fatalf("ana is on duty, and her record says %v, the scanner's %v", got, all[0].factsOf(all[1]))
		}
		anew(all...)
		w.do(onDuty("ana@clinic.example", "ben@clinic.example"))
		w.do(onDuty("ben@clinic.example"))
		rest()
		if got := all[0].factsOf(ana); len(got) > 0 {
			t.Errorf("ana was relieved, and her record says %v", got)
		}
		all[1].nothing(t, "is not concerned by who is on duty")
	})
}

// Nodes know a schedule for more than a week without the coordinator, and each day
// for one day more. A policy that has its first schedule holds from its edit on.
func TestSchedulesAreToldAhead(t *testing.T) {
	play(t, wards, func(t *testing.T, w *world) {
		all := join(w, "tag:central", "tag:scanner")
		defer leaveAll(all)
		last := func() (first, last time.Time) {
			all[0].mu.Lock()
			defer all[0].mu.Unlock()
			for _, r := range all[0].state.Map.Rules.In {
				if r.ID != "scan" {
					continue
				}
				if first.IsZero() {
					first = r.NotBefore
				}
				last = r.NotAfter
			}
			return first, last
		}
		today := time.Now().UTC().Truncate(24 * time.Hour)
		if from, to := last(); !from.Equal(today.Add(8*time.Hour)) || !to.Equal(today.AddDate(0, 0, 7).Add(20*time.Hour)) {
			t.Fatalf("on %s the schedule is known from %s to %s", today, from, to)
		}
		anew(all...)
		w.do(onDuty())
		rest()
		all[0].nothing(t, "knows this day already")
		w.day()
		w.do(onDuty())
		rest()
		if from, to := last(); !from.Equal(today.AddDate(0, 0, 1).Add(8*time.Hour)) || !to.Equal(today.AddDate(0, 0, 8).Add(20*time.Hour)) {
			t.Errorf("a day later the schedule is known from %s to %s", from, to)
		}
	})
}

const lingering = `{"tagOwners": {"tag:ehr": [], "tag:kiosk": []}, "grants": [
  {"id": "ehr", "src": ["ana@clinic.example"], "dst": ["tag:ehr"], "ip": ["443"], "onExpiry": "drain 2d"},
  {"id": "at-kiosks", "src": ["ana@clinic.example"], "srcDevice": ["tag:kiosk"], "dst": ["tag:ehr"], "ip": ["443"]}]}`

// A node takes it that who is told of no more was shut out, and cuts what drains. So whose
// time is over is told of, with that end, for as long as anything may drain.
func TestWhoseTimeIsOverIsToldOfWhileAnythingDrains(t *testing.T) {
	play(t, lingering, func(t *testing.T, w *world) {
		w.do(registry.RequireSignIn{Required: true})
		all := join(w, "tag:ehr", "tag:kiosk")
		laptop := w.enrol()
		laptop.connect()
		all = append(all, laptop)
		defer leaveAll(all)
		late()
		ehr, kiosk := all[0], all[1]
		ends := w.sit(laptop, "s1", "", "ana@clinic.example").Until
		w.sit(kiosk, "s2", "1000", "ana@clinic.example")
		told := func(want bool) {
			t.Helper()
			w.do(onDuty())
			w.do(onDuty("ben@clinic.example")) // an observation of this day
			rest()
			seats := ehr.peer(kiosk).Seats
			if len(seats) != 1 {
				t.Fatalf("%d seats", len(seats))
			}
			for where, facts := range map[string][]acl.FactEnd{"at a machine of hers": ehr.peer(laptop).Facts, "at a seat": seats[0].Facts} {
				there := slices.ContainsFunc(facts, func(f acl.FactEnd) bool { return f.Fact.Presence() && f.Until.Equal(ends) })
				if there != want {
					t.Errorf("%s after the end, %s: told of %v", time.Since(ends), where, facts)
				}
			}
		}
		told(true)
		for range 3 {
			w.day()
			told(true)
		}
		w.day()
		told(false)
	})
}
