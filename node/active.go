package node

import (
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// active tells when people last did something at this machine, as far as its traffic
// tells: those who have seats, each by themselves, and whoever has the whole machine.
func (m *mesh) active() (all []control.Activity) {
	m.mu.Lock()
	self := m.state.Self
	m.mu.Unlock()
	for _, session := range watched(&self) {
		if a, ever := m.activeOf(session); ever {
			all = append(all, a)
		}
	}
	return all
}

// watched gives the sessions whose activity is of interest; "" is the whole machine's.
// What a machine does of itself while only seats are taken is nobody's.
func watched(self *wire.SelfRecord) (all []string) {
	whole := func(s wire.Session) bool { return s.Seat == "" }
	if len(self.Seats) == 0 || slices.ContainsFunc(self.Sessions, whole) {
		all = append(all, "")
	}
	for i := range self.Seats {
		all = append(all, self.Seats[i].Session)
	}
	return all
}

// activeOf tells of one session; false if nobody did anything in it since this machine
// carries any traffic.
func (m *mesh) activeOf(session string) (a control.Activity, ever bool) {
	p := m.plane.now.Load()
	if p == nil {
		return a, false
	}
	a.Session = session
	a.Ago, a.Pause, a.Told, ever = p.Active(session)
	return a, ever
}

// endsAlike is how far the end of a flow may lie from that of the fact that ends it:
// the plane counts in time since boot.
const endsAlike = 5 * time.Second

// movesOn tells whether an end that nears is one by idleness which whoever works here
// moves on, as long as the coordinator is told: a warning of it would come again and
// again. The caller holds m.mu.
func (m *mesh) movesOn(e plane.Ending) bool {
	every := m.state.Self.ActiveEvery
	if every == 0 || !m.connected || e.Direction != plane.Out {
		return false
	}
	session, idle := idleness(&m.state.Self, e)
	a, ever := m.activeOf(session)
	return ever && idle && a.Ago < 2*every
}

// idleness tells whether a flow from here ends when who opened it does nothing, and
// whose session that is.
func idleness(self *wire.SelfRecord, e plane.Ending) (session string, idle bool) {
	if s := seatAt(self.Seats, e.Src); s != nil {
		session = s.Session
	}
	return session, slices.ContainsFunc(factsAt(self.Facts, self.Seats, e.Src), func(f acl.FactEnd) bool {
		return strings.Contains(string(f.Fact), ":idle=") && f.Until.Sub(e.End).Abs() < endsAlike
	})
}
