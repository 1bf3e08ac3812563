package node

import (
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// active tells when somebody last did something at this machine, as far as its
// traffic tells; false if nobody did since it carries any.
func (m *mesh) active() (a control.Activity, ever bool) {
	p := m.plane.now.Load()
	if p == nil {
		return a, false
	}
	a.Ago, a.Pause, a.Told, ever = p.Active("")
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
	byIdleness := func(f acl.FactEnd) bool {
		return strings.Contains(string(f.Fact), ":idle=") && f.Until.Sub(e.End).Abs() < endsAlike
	}
	a, ever := m.active()
	return ever && a.Ago < 2*every && slices.ContainsFunc(m.state.Self.Facts, byIdleness)
}
