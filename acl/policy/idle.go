package policy

import "time"

// Idle gives the shortest time without activity after which a rule, or the floor of
// a segment, takes a person's session for ended; 0 if none does.
func (p *Policy) Idle() (shortest time.Duration) {
	if p == nil {
		return 0
	}
	return p.idle
}

func (p *Policy) shortestIdle() (shortest time.Duration) {
	ask := func(w *When) {
		if w.Session != nil && w.Session.Idle > 0 && (shortest == 0 || w.Session.Idle < shortest) {
			shortest = w.Session.Idle
		}
	}
	for i := range p.rules {
		ask(&p.rules[i].When)
	}
	for _, s := range p.segments {
		ask(&s.Requires)
	}
	return shortest
}
