package calendar

import "time"

// Next gives the first instant after t at which somebody comes on duty or goes
// off; false if that is none within [Look].
func (r Roster) Next(t time.Time) (next time.Time, ok bool) {
	limit := t.Add(Look)
	for _, p := range r.people {
		for _, s := range p.duties(t) {
			for _, at := range []time.Time{time.Unix(s.from, 0).UTC(), time.Unix(s.until, 0).UTC()} {
				if at.After(t) && !at.After(limit) && (!ok || at.Before(next)) {
					next, ok = at, true
				}
			}
		}
	}
	return next, ok
}
