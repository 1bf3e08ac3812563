package node

import (
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Of several people at one machine, who signed out loses what is theirs and nobody
// else anything. What a machine has by itself stays; a fact of a kind that is not
// known might be a person's. The map that was given is not written to.
func TestSignedOutTakesAPersonsFactsAlone(t *testing.T) {
	facts := func() (all []acl.FactEnd) {
		for _, f := range []acl.Fact{"mfa:acr=gold", "oncall:ward", "person:group:nurses", "posture:managed", "risk:<50", "session:idle=10m0s", "signed-in", "unheard-of"} {
			all = append(all, acl.FactEnd{Fact: f, Until: time.Unix(1e9, 0)})
		}
		return all
	}
	given := func() (m wire.Map) {
		for _, s := range []wire.Session{{ID: "ada", Seat: "1000"}, {ID: "ben", Seat: "1001"}, {ID: "all"}} {
			m.Self.Sessions = append(m.Self.Sessions, s)
			if s.Seat != "" {
				m.Self.Seats = append(m.Self.Seats, wire.Seat{Session: s.ID, Facts: facts()})
			}
		}
		m.Self.Facts = facts()
		return m
	}
	own := []acl.Fact{"posture:managed", "risk:<50"}
	named := func(facts []acl.FactEnd) (all []acl.Fact) {
		for _, f := range facts {
			all = append(all, f.Fact)
		}
		return all
	}
	whole := named(facts())
	for name, c := range map[string]struct {
		out                 map[string]told
		alone               bool
		machine, adas, bens []acl.Fact
	}{
		"nobody":                      {nil, true, whole, whole, whole},
		"ada":                         {map[string]told{"ada": owed}, true, whole, own, whole},
		"ada, of whom is known":       {map[string]told{"ada": known}, true, whole, own, whole},
		"the machine's":               {map[string]told{"all": telling}, true, own, whole, whole},
		"the machine's, and one anew": {map[string]told{"all": owed}, false, whole, whole, whole},
		"somebody of another time":    {map[string]told{"eve": owed}, true, whole, whole, whole},
	} {
		m := given()
		if !c.alone {
			m.Self.Sessions = append(m.Self.Sessions, wire.Session{ID: "new"})
		}
		got := withoutSignedOut(m, c.out)
		if !slices.Equal(named(got.Self.Facts), c.machine) || !slices.Equal(named(got.Self.Seats[0].Facts), c.adas) || !slices.Equal(named(got.Self.Seats[1].Facts), c.bens) {
			t.Errorf("%s: the machine has %q, the seats %q and %q", name, named(got.Self.Facts), named(got.Self.Seats[0].Facts), named(got.Self.Seats[1].Facts))
		}
		if !slices.Equal(named(m.Self.Facts), whole) || !slices.Equal(named(m.Self.Seats[0].Facts), whole) {
			t.Errorf("%s: the map was written to", name)
		}
	}
}
