package calendar

import (
	"math"
	"slices"
	"time"
)

// The library that knows RRULE walks from DTSTART at every question, walks to
// the year 9999 where a rule never comes true, and panics at BYDAY=53MO. This
// one looks only at the days that are asked about; tests hold it to the library.

type frequency int

const (
	daily frequency = iota
	weekly
	monthly
	yearly
)

// rule is a recurrence rule (RRULE) of whole days, which are counted from
// 1970-01-01; the time of the day is that of DTSTART.
type rule struct {
	frequency frequency
	interval  int64
	begins    int64 // day of the week on which weeks begin; 0 is Monday
	months    [13]bool
	ofYear    bool // no months are named: days of the week are counted within the year
	monthDays []int
	weekdays  []nthDay
	positions []int

	first, last int64 // days: DTSTART, and what COUNT or a DATE of UNTIL amounts to
	until       int64 // Unix seconds, inclusive: UNTIL
}

// nthDay is the nth such day of the week in a month or year, from the end if
// negative; n = 0 is each.
type nthDay struct {
	n       int
	weekday int // 0 is Monday
}

func weekday(d int64) int { return int(floorMod(d+3, 7)) } // 1970-01-01 was a Thursday

func dayOf(year int, month time.Month, dayOfMonth int) int64 {
	return floorDiv(time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC).Unix(), day)
}

func dateOf(d int64) time.Time { return time.Unix(d*day, 0).UTC() }

// period gives the number of the day, week, month or year in which a day lies.
func (r *rule) period(d int64) int64 {
	switch r.frequency {
	case weekly:
		return floorDiv(d+3-r.begins, 7)
	case monthly:
		t := dateOf(d)
		return int64(t.Year())*12 + int64(t.Month()) - 1
	case yearly:
		return int64(dateOf(d).Year())
	}
	return d
}

// days gives the first and last day of a period.
func (r *rule) days(period int64) (first, last int64) {
	switch r.frequency {
	case weekly:
		first = period*7 - 3 + r.begins
		return first, first + 6
	case monthly:
		year, month := int(floorDiv(period, 12)), time.Month(floorMod(period, 12)+1)
		return dayOf(year, month, 1), dayOf(year, month+1, 1) - 1
	case yearly:
		return dayOf(int(period), 1, 1), dayOf(int(period)+1, 1, 1) - 1
	}
	return period, period
}

// budget bounds how many days a file may have looked at while it is read.
type budget struct{ days int64 }

func (b *budget) spend(days int64) bool {
	if b == nil {
		return true
	}
	b.days -= days
	return b.days >= 0
}

// each calls yield with the rule's days from one day to another, both included,
// in order, until it returns false. It tells whether the budget, which may be
// nil, was enough.
func (r *rule) each(from, to int64, b *budget, yield func(int64) bool) bool {
	from, to = max(from, r.first), min(to, r.last)
	period := r.period(from)
	period -= floorMod(period-r.period(r.first), r.interval)
	for ; ; period += r.interval {
		first, last := r.days(period)
		if first > to {
			return true
		}
		if !b.spend(0) {
			return false
		}
		found, looked := r.within(first, last)
		if !b.spend(looked) {
			return false
		}
		for _, d := range r.choose(found) {
			if d >= from && d <= to && !yield(d) {
				return true
			}
		}
	}
}

// within gives the days of one period that the rule names, and how many it took
// to look at.
func (r *rule) within(first, last int64) (found []int64, looked int64) {
	for d := first; d <= last; d++ {
		looked++
		t := dateOf(d)
		if !r.months[t.Month()] {
			d = dayOf(t.Year(), t.Month()+1, 1) - 1
		} else if r.matchesMonthDay(t) && r.matchesWeekday(d, t) {
			found = append(found, d)
		}
	}
	return found, looked
}

// choose gives those of a period's days that BYSETPOS names.
func (r *rule) choose(found []int64) []int64 {
	if len(r.positions) == 0 {
		return found
	}
	var chosen []int64
	for i, d := range found {
		if slices.Contains(r.positions, i+1) || slices.Contains(r.positions, i-len(found)) {
			chosen = append(chosen, d)
		}
	}
	return chosen
}

func (r *rule) matchesMonthDay(t time.Time) bool {
	for _, n := range r.monthDays {
		if n == t.Day() || n == t.Day()-daysIn(t)-1 {
			return true
		}
	}
	return len(r.monthDays) == 0
}

// daysIn gives how many days the month of t has.
func daysIn(t time.Time) int { return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day() }

func (r *rule) matchesWeekday(d int64, t time.Time) bool {
	for _, want := range r.weekdays {
		if want.weekday != weekday(d) {
			continue
		}
		if want.n == 0 {
			return true
		}
		place, length := t.Day(), daysIn(t)
		if r.ofYear {
			place, length = t.YearDay(), time.Date(t.Year(), 12, 31, 0, 0, 0, 0, time.UTC).YearDay()
		}
		if want.n == (place-1)/7+1 || want.n == -((length-place)/7+1) {
			return true
		}
	}
	return len(r.weekdays) == 0
}

// count makes a last day of COUNT. It tells whether the budget was enough.
func (r *rule) count(n int64, b *budget) bool {
	last := r.first - 1 // of none, if the rule never comes true
	enough := r.each(r.first, r.last, b, func(d int64) bool {
		last = d
		n--
		return n > 0
	})
	r.last = last
	return enough
}

// has tells whether the rule comes true on a day.
func (r *rule) has(d int64, b *budget) bool {
	found := false
	r.each(d, d, b, func(int64) bool { found = true; return false })
	return found
}

const never = math.MaxInt64
