package control_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// whoSits gives the sessions with a seat at the one peer of the map in force.
func (r *rig) whoSits() (sessions []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.maps[len(r.maps)-1].Peers {
		for _, s := range p.Seats {
			sessions = append(sessions, s.Session)
		}
	}
	return sessions
}

// The node asks for changes of seats by themselves. It takes them, from its disk too; one
// that does not fit what it holds it refuses, and asks for all.
func TestFollowsChangesOfSeats(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t).begin()
		ward, _ := controltest.Stranger("ward", "100.64.0.2")
		for _, s := range []string{"1", "2"} {
			ward.Seats = append(ward.Seats, wire.Seat{Session: "s" + s, Addresses: []netip.Addr{netip.MustParseAddr("100.64.9." + s)}})
		}
		one := r.at(controltest.At(1, 1, 5), ward)
		ends := func(from, to uint64) *wire.FollowResponse {
			d := &wire.Delta{Seats: []*wire.SeatDelta{{Node: ward.ID, End: []string{"s1"}}}}
			return controltest.Signed(r.c.Mesh.Sign(wire.NewDelta(r.to(), from, controltest.At(1, 1, to), d)))
		}
		s := r.c.Next()
		if !slices.Contains(s.Request.Features, wire.FeatureSeatDelta) {
			t.Fatalf("it names the features %v", s.Request.Features)
		}
		r.send(s, r.full(one))
		r.send(s, ends(5, 6))
		r.holds(controltest.At(1, 1, 6), "ward")
		if got := r.whoSits(); !slices.Equal(got, []string{"s2"}) {
			t.Fatalf("after the end of a session there sit %v", got)
		}
		s.End(nil)
		r.reboot()
		if got := r.start.Map.Peers[ward.ID].Seats; r.start.Map.Revision != 6 || len(got) != 1 || got[0].Session != "s2" {
			t.Fatalf("from its disk it knows of %v", got)
		}
		s = r.c.Next()
		r.send(s, ends(6, 7))
		if alive(s) || len(r.maps) > 0 {
			t.Fatal("the end of a session that is not there is taken")
		}
		if q := r.c.Next().Request; q.Revision != 0 || len(q.Digest) != 0 {
			t.Fatalf("it asks with %v, want all", q)
		}
	})
}
