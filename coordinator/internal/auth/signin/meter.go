package signin

import "time"

// How many pages an address may ask for that belong to no sign-in under way, and
// how many each sign-in may: at once, and per second. A whole hospital may stand
// behind one address, so that no stranger there may use up what others need; a
// sign-in takes five pages or so.
const (
	strayAtOnce     = 400
	strayPerSecond  = 10
	visitsAtOnce    = 60
	visitsPerSecond = 1
	maxMetered      = 2_000
)

// pace is how often one may come: at once, and per second.
type pace struct{ atOnce, perSecond float64 }

// account is what one has spent.
type account struct {
	calls float64 // not yet forgiven
	at    time.Time
}

// allow counts a call, and tells whether it may be served. A clock that is set
// back gives nothing away and locks nobody out.
func (a *account) allow(now time.Time, p pace) bool {
	if a.at.IsZero() {
		a.at = now
	}
	a.calls = max(0, a.calls-max(0, now.Sub(a.at).Seconds())*p.perSecond)
	a.at = now
	if a.calls+1 > p.atOnce {
		return false
	}
	a.calls++
	return true
}

// meter bounds how often each of many may come. Who uses it holds the desk's lock.
type meter struct {
	pace
	spent map[string]*account
}

func newMeter(atOnce, perSecond float64) *meter {
	return &meter{pace{atOnce, perSecond}, map[string]*account{}}
}

// allow counts a call of who, and tells whether it may be served.
func (m *meter) allow(now time.Time, who string) bool {
	a := m.spent[who]
	if a == nil {
		if len(m.spent) >= maxMetered {
			clear(m.spent) // rather forgiven than refused: no stranger's flood costs others their turn
		}
		a = new(account)
		m.spent[who] = a
	}
	return a.allow(now, m.pace)
}
