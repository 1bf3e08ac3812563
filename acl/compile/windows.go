package compile

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/calendar"
)

// ahead is for how long nodes are told when schedules open: so long a schedule
// is kept without a coordinator.
const ahead = 8 * 24 * time.Hour

// termsOn gives what nodes are told of a part on one of its grounds.
func (m *Mesh) termsOn(g *ground, p *part) *timed {
	if g.told == nil {
		g.told = &timed{windows: m.windows(g), rule: acl.Rule{
			ID: p.rule.ID, SameOwner: p.self, Needs: g.needs, Open: p.open,
			Hold: g.hold, Drain: g.drain, Monitor: g.monitor, Log: g.log, Limit: g.limit, Features: g.features,
		}}
	}
	return g.told
}

// bears tells whether a part makes any rule between sources and destinations of a
// kind.
func (m *Mesh) bears(p *part, key groundKey) bool {
	if len(p.open) == 0 {
		return false
	}
	grounds := m.groundsOf(p, key)
	for i := range grounds {
		if len(m.termsOn(&grounds[i], p).windows) > 0 {
			return true
		}
	}
	return false
}

// windows gives when a ground may hold, as nodes are told it: nothing of a
// schedule before the day of now, nor later than ahead after that. A ground
// without schedules and without an end has one window without bounds. Where nobody can
// tell the hours, what permits is shut, and what forbids holds: a node that is alone for
// longer than ahead must not come to permit what it refused.
func (m *Mesh) windows(g *ground) []calendar.Window {
	all := []calendar.Window{{Until: g.until}}
	switch {
	case len(g.schedules) == 0, m.now.IsZero() && g.forbids:
		return all
	case m.now.IsZero():
		return nil
	}
	told := m.day.Add(ahead)
	for _, name := range g.schedules {
		s, _ := m.pol.Schedule(name)
		all = meetWindows(all, s.Weekly.Windows(m.day, told))
	}
	if g.forbids {
		all = onward(all, told)
	}
	return all
}

// onward adds to sorted windows all that comes after a moment, at which the last may end.
func onward(all []calendar.Window, from time.Time) []calendar.Window {
	if last := len(all) - 1; last >= 0 && all[last].Until.Equal(from) {
		all[last].Until = time.Time{}
		return all
	}
	return append(all, calendar.Window{From: from})
}

// meetWindows gives what two lists have in common, each sorted and its windows apart.
// The zero time is without bound.
func meetWindows(a, b []calendar.Window) []calendar.Window {
	var all []calendar.Window
	for len(a) > 0 && len(b) > 0 {
		w := calendar.Window{From: later(a[0].From, b[0].From), Until: earlier(a[0].Until, b[0].Until)}
		if w.Until.IsZero() || w.From.Before(w.Until) {
			all = append(all, w)
		}
		if w.Until.Equal(a[0].Until) { // it ends first
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return all
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Keeps gives when all of some schedules are open at once, as nodes are told it of a rule
// that permits, or that forbids.
func (m *Mesh) Keeps(schedules []string, forbids bool) []calendar.Window {
	return m.windows(&ground{schedules: schedules, forbids: forbids})
}

// timely tells whether a ground may hold now.
func (m *Mesh) timely(g *ground) bool {
	if !g.until.IsZero() && !m.now.Before(g.until) {
		return false
	}
	if m.now.IsZero() && len(g.schedules) > 0 {
		return g.forbids
	}
	for _, name := range g.schedules {
		s, _ := m.pol.Schedule(name)
		if open, _ := s.Weekly.At(m.now); !open {
			return false
		}
	}
	return true
}
