package compile

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Suppose has what is given be so of whoever asks, besides what is known: to try
// what would be. Who sits at the device, if it is a shared one, is named besides
// (User, Roles and Groups count). The time is that of given, or else now. A nil
// given ends it. What nodes are told must not be asked of the mesh meanwhile.
func (m *Mesh) Suppose(g *policy.Given, sitting Node, now time.Time) {
	before := m.declared
	m.supposed, m.supposing, m.declared, m.risk = nil, g != nil, Declared{}, g != nil && g.Risk > 0
	defer func() {
		if !before.equal(m.declared) {
			m.forget()
		}
	}()
	if g == nil {
		m.At(now)
		return
	}
	if !g.At.IsZero() {
		now = g.At
	}
	m.At(now)
	m.declared = Declared{Levels: g.Lockdown, Glass: endless(g.BreakGlass)}
	m.supposed = m.FactsOf(evidence(g, sitting, m.pol, now), now)
}

// evidence makes of what is given what would be known then.
func evidence(g *policy.Given, sitting Node, pol *policy.Policy, now time.Time) *Evidence {
	e := &Evidence{
		SignedIn: Forever(), Risk: g.Risk, Attributes: make(map[string]Attribute), Postures: endless(g.Postures), OnDuty: endless(g.OnCall), Glass: endless(g.BreakGlass),
		Approved: make(map[acl.RuleID]Approved),
	}
	for name, value := range g.Attributes {
		e.Attributes[name] = Attribute{value, Forever()}
	}
	if g.LoggedIn || len(g.AMR) > 0 || g.ACR != "" {
		e.Logins = []Login{{At: now.Add(-g.MFAAge), Until: Forever(), AMR: g.AMR, ACR: g.ACR}}
	}
	if g.Device != "" || g.Session != "" {
		e.Person = sitting
		e.Presence = &Presence{Kind: g.Session, Idle: g.Idle, Until: Forever()}
	}
	if g.ApprovedBy == 0 {
		return e
	}
	rules := pol.Rules()
	for i := range rules {
		if rules[i].Approval != "" {
			e.Approved[rules[i].ID] = Approved{g.ApprovedBy, Forever()}
		}
	}
	return e
}

func endless(names []string) map[string]time.Time {
	all := make(map[string]time.Time, len(names))
	for _, name := range names {
		all[name] = Forever()
	}
	return all
}
