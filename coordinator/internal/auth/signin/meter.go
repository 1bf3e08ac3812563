package signin

import "time"

// How many pages an address may ask for: at once, and per second. A whole
// hospital may stand behind one address, and a sign-in takes five or so.
const (
	visitsAtOnce    = 400
	visitsPerSecond = 10
	maxMetered      = 2_000
)

// meter bounds how often each of many may come. Who uses it holds the desk's lock.
type meter struct {
	atOnce, perSecond float64
	spent             map[string]*account
}

type account struct {
	calls float64 // not yet forgiven
	at    time.Time
}

func newMeter(atOnce, perSecond float64) *meter {
	return &meter{atOnce: atOnce, perSecond: perSecond, spent: map[string]*account{}}
}

// allow counts a call of who, and tells whether it may be served. A clock that
// is set back gives nothing away and locks nobody out.
func (m *meter) allow(now time.Time, who string) bool {
	a := m.spent[who]
	if a == nil {
		if len(m.spent) >= maxMetered {
			clear(m.spent) // rather forgiven than refused: no stranger's flood costs others their turn
		}
		a = &account{at: now}
		m.spent[who] = a
	}
	a.calls = max(0, a.calls-max(0, now.Sub(a.at).Seconds())*m.perSecond)
	a.at = now
	if a.calls+1 > m.atOnce {
		return false
	}
	a.calls++
	return true
}
