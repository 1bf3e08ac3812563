package filter

// forbidden finds a rule that forbids a flow now, whatever permits it, and else
// gives the time since boot at which one may begin to.
func (t *Table) forbidden(d Direction, e *ends, w wish, m *Moment) (rule int32, begins int64) {
	begins = forever
	s := &t.forbids[d&1]
	c := s.candidates(d, e, w)
	for n := t.next(&c, s, e, w); n != noRule; n = t.next(&c, s, e, w) {
		at := t.forbidsFrom(&t.rules[n], e.src, m)
		if at <= m.Boot {
			return n, 0
		}
		begins = min(begins, at)
	}
	return noRule, begins
}

// forbidsFrom gives the time since boot from which a rule that matches forbids: now
// at the latest if it holds, forever if it does not. What may still become a fact
// comes with a new table.
//
// Where the clocks do not agree, it begins by the one ahead and ends by the one
// behind; and while nobody knows the time, everything that is bound to one holds.
func (t *Table) forbidsFrom(r *rule, from *home, m *Moment) int64 {
	human := r.needs != 0
	early, late := m.clock(human), min(m.Machine, m.Human) // while nobody knows the time, never
	if human {
		if until := t.met(r, from); until == never || late >= until {
			return forever
		}
	}
	switch {
	case r.notAfter != forever && late >= r.notAfter:
		return forever
	case early < r.notBefore:
		return m.boot(r.notBefore, human)
	}
	return m.Boot
}
