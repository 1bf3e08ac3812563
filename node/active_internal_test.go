package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// shared is a machine at which ada and ben are signed in, whose ends by idleness
// differ from each other's and from the machine's.
func shared(at time.Time) *wire.SelfRecord {
	idle := func(minutes int) []acl.FactEnd {
		return []acl.FactEnd{{Fact: "session:idle=10m0s", Until: at.Add(time.Duration(minutes) * time.Minute)}}
	}
	return &wire.SelfRecord{
		Addresses: []netip.Addr{netip.MustParseAddr("100.64.0.1")}, Facts: idle(1),
		Sessions: []wire.Session{{ID: "s1", Seat: "1000"}, {ID: "s2", Seat: "1001"}},
		Seats: []wire.Seat{
			{Session: "s1", Addresses: []netip.Addr{netip.MustParseAddr("100.64.2.1"), netip.MustParseAddr("fd00::21")}, Facts: idle(2)},
			{Session: "s2", Addresses: []netip.Addr{netip.MustParseAddr("100.64.2.2")}, Facts: idle(3)},
		},
	}
}

// What a machine does of itself keeps nobody's session alive; and who has the whole
// machine is told of beside those who have seats.
func TestWhoseActivityIsTold(t *testing.T) {
	self := shared(time.Now())
	if got := watched(self); !slices.Equal(got, []string{"s1", "s2"}) {
		t.Errorf("seats alone: %q", got)
	}
	self.Sessions = append(self.Sessions, wire.Session{ID: "s3"})
	if got := watched(self); !slices.Equal(got, []string{"", "s1", "s2"}) {
		t.Errorf("a session of the whole machine besides: %q", got)
	}
	if got := watched(&wire.SelfRecord{}); !slices.Equal(got, []string{""}) {
		t.Errorf("no seats: %q", got)
	}
}

// An end by idleness is that of who opened the flow.
func TestWhoseIdlenessEndsAFlow(t *testing.T) {
	at := time.Now()
	self := shared(at)
	for _, c := range []struct {
		src     string
		minutes int
		session string
		idle    bool
	}{
		{"100.64.0.1", 1, "", true}, {"100.64.0.1", 2, "", false},
		{"100.64.2.1", 2, "s1", true}, {"fd00::21", 2, "s1", true}, {"100.64.2.1", 1, "s1", false}, {"100.64.2.1", 3, "s1", false},
		{"100.64.2.2", 3, "s2", true}, {"100.64.2.2", 2, "s2", false},
	} {
		e := plane.Ending{Src: netip.MustParseAddr(c.src), End: at.Add(time.Duration(c.minutes) * time.Minute)}
		if session, idle := idleness(self, e); session != c.session || idle != c.idle {
			t.Errorf("from %s, an end in %d min: of session %q, by idleness %v", c.src, c.minutes, session, idle)
		}
	}
}
