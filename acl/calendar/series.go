package calendar

import (
	"cmp"
	"slices"
)

// series is a turn, or many of the same length.
type series struct {
	start  moment // the first turn's; gives the rule its time of the day and its zone
	length length
	rule   *rule          // nil if there is none
	dates  []onset        // of turns beyond the rule's, sorted
	left   map[int64]bool // instants at which a turn would begin and does not
	days   map[int64]bool // days on the wall on which no turn begins
}

// onset is when a turn begins: an instant, and the time that it was written as
// on the wall of its series, which may have been skipped that day.
type onset struct{ at, wall int64 }

func byInstant(o onset, at int64) int { return cmp.Compare(o.at, at) }

// add adds a turn to the rule's.
func (s *series) add(m moment) {
	o := onset{m.at(), m.wall}
	if m.zone != s.start.zone {
		o.wall = s.start.zone.wall(o.at)
	}
	s.dates = append(s.dates, o)
}

// onDay gives when a turn of a day of the rule begins; false if UNTIL is over.
func (s *series) onDay(d int64) (o onset, ok bool) {
	o.wall = d*day + floorMod(s.start.wall, day)
	o.at = s.start.zone.begin(o.wall)
	return o, o.at <= s.rule.until
}

// end gives the instant at which a turn ends.
func (s *series) end(o onset) int64 {
	if s.length.wall == 0 {
		return o.at + s.length.elapsed
	}
	// In the second pass of a repeated hour the first one's end has gone by.
	if end := s.start.zone.begin(o.wall + s.length.wall); end >= o.at {
		return end + s.length.elapsed
	}
	return o.at + s.length.wall + s.length.elapsed
}

// has tells whether a turn would begin at an instant.
func (s *series) has(at int64, b *budget) bool {
	if _, found := slices.BinarySearchFunc(s.dates, at, byInstant); found || s.rule == nil {
		return found
	}
	today := floorDiv(s.start.zone.wall(at), day)
	for d := today - 1; d <= today; d++ { // a gap before midnight moves yesterday's
		if o, ok := s.onDay(d); ok && o.at == at && s.rule.has(d, b) {
			return true
		}
	}
	return false
}

// leave takes the turn that begins at an instant out. It tells whether there is one.
func (s *series) leave(at int64, b *budget) bool {
	if s.left == nil {
		s.left = map[int64]bool{}
	}
	s.left[at] = true
	return s.has(at, b)
}

// exclude takes out what an EXDATE names: a turn, or all that begin on a day.
// It tells whether there is one.
func (s *series) exclude(m moment, b *budget) bool {
	if !m.date || s.start.date {
		return s.leave(m.at(), b)
	}
	d := floorDiv(m.wall, day)
	if s.days == nil {
		s.days = map[int64]bool{}
	}
	s.days[d] = true
	next, _ := slices.BinarySearchFunc(s.dates, s.start.zone.begin(d*day), byInstant)
	return s.rule != nil && s.rule.has(d, b) || next < len(s.dates) && floorDiv(s.dates[next].wall, day) == d
}

// turns adds to found all turns that touch [from, until], in Unix seconds.
func (s *series) turns(found []span, from, until int64) []span {
	longest := s.length.wall + s.length.elapsed + 2*reach
	add := func(o onset) {
		turn := span{o.at, s.end(o)}
		if turn.from <= until && turn.until >= from && turn.from < turn.until && !s.left[o.at] && !s.days[floorDiv(o.wall, day)] {
			found = append(found, turn)
		}
	}
	first, _ := slices.BinarySearchFunc(s.dates, from-longest, byInstant)
	for _, o := range s.dates[first:] {
		if o.at > until {
			break
		}
		add(o)
	}
	if s.rule != nil {
		s.rule.each(floorDiv(from-longest, day), floorDiv(until+reach, day), nil, func(d int64) bool {
			if o, ok := s.onDay(d); ok {
				add(o)
			}
			return true
		})
	}
	return found
}
