// Package calendar says when something holds by the calendar: the spans of the
// week of a policy's schedules ([Weekly]), and who is on duty by a roster that
// another system keeps ([Roster]). It answers for the moment that it is asked
// about and names the next one at which the answer changes; what follows from
// that, and where a roster comes from, is left to others. It holds no clock.
//
// All spans are by the wall clock of their time zone. Where the clock is put
// forward, a time that it skips stands for the first instant after the gap;
// where it is put back, a weekly span that begins or ends in the repeated hour
// runs from the hour's first begin to its last end, and a turn of a roster from
// first to first, so that whoever hands over at that time leaves no hour
// without and none with two. Thus no span is ever inverted. One that lies
// inside a gap as a whole does not happen on that day.
//
// What cannot be understood is an error, never a guess: nobody gets in because
// a calendar was read generously. A roster has a size, and every question a
// cost, that its writer cannot exceed.
package calendar

import (
	"strconv"
	"time"

	// A coordinator in an empty container has no zone files, and one zone that
	// cannot be found refuses a hospital's whole policy. 450 KB of a program.
	_ "time/tzdata"
)

const (
	minute = 60 // seconds
	hour   = 60 * minute
	day    = 24 * hour
	week   = 7 * day
)

// Window is the span of time [From, Until): From belongs to it, Until does not.
type Window struct{ From, Until time.Time }

// Holds tells whether t lies in the window.
func (w Window) Holds(t time.Time) bool { return !t.Before(w.From) && t.Before(w.Until) }

// span is a window in Unix seconds.
type span struct{ from, until int64 }

// join joins spans, sorted by their begin, where they touch or overlap.
func join(sorted []span) []span {
	var joined []span
	for _, s := range sorted {
		if n := len(joined); n > 0 && s.from <= joined[n-1].until {
			joined[n-1].until = max(joined[n-1].until, s.until)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}

// quote keeps a hostile megabyte, and what a terminal would obey, out of an
// error's text.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}

func sentence(why, fix string) string {
	if fix == "" {
		return why
	}
	return why + "; " + fix
}
