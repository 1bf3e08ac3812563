package calendar

import (
	"cmp"
	"slices"
	"time"
)

// Look is how far a [Roster] looks from the moment that it is asked about. What
// lasts or comes later must be asked for again when that has passed.
const Look = 35 * 24 * time.Hour

// Duty is one person's time on duty without a pause, of as many turns as it is.
type Duty struct {
	Who string // login, as the roster writes it; its letter case counts
	Window
}

// OnDuty gives who is on duty at t, sorted by login. A duty that began or ends
// further away than [Look] is given as if it did so then. Times are in UTC.
func (r Roster) OnDuty(t time.Time) []Duty {
	var all []Duty
	for _, p := range r.people {
		for _, s := range p.duties(t) {
			window := Window{time.Unix(s.from, 0).UTC(), time.Unix(s.until, 0).UTC()}
			if !window.Holds(t) {
				continue
			}
			if least := t.Add(-Look).UTC(); window.From.Before(least) {
				window.From = least
			}
			if most := t.Add(Look).UTC(); window.Until.After(most) {
				window.Until = most
			}
			all = append(all, Duty{p.login, window})
		}
	}
	return all
}

// duties gives a person's duties that are less than Look away from t.
func (p *person) duties(t time.Time) []span {
	const look = int64(Look / time.Second)
	var turns []span
	for _, s := range p.turns {
		turns = s.turns(turns, t.Unix()-look-1, t.Unix()+look+1)
	}
	slices.SortFunc(turns, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return join(turns)
}
