package calendar

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// What a roster's file may cost at most, whatever stands in it.
const (
	MostText   = 1 << 20 // bytes
	MostEvents = 10_000

	mostDays = 500_000 // looked at while COUNTs, EXDATEs and time zones are read: 50 for each event
)

// Roster says who is on duty when. The zero value has nobody on duty, ever.
type Roster struct{ people []person }

// person is one login and all turns that name it.
type person struct {
	login string
	turns []*series
}

// Warning is something in a roster that puts nobody on duty although it seems to.
type Warning struct {
	Line int // counted from 1
	Text string
}

// String gives the warning in one line.
func (w Warning) String() string { return "roster: line " + strconv.Itoa(w.Line) + ": " + w.Text }

// ParseRoster reads an iCalendar file (RFC 5545) of at most [MostText] bytes and
// [MostEvents] events. Each VEVENT is a turn, or a series of them (RRULE of
// whole days, RDATE, EXDATE, RECURRENCE-ID); it puts the ATTENDEEs (mailto:login)
// on duty who did not decline. The ORGANIZER is who wrote the roster. Cancelled
// and tentative events put nobody on duty, and a turn that was changed puts
// nobody there who had it before.
//
// A day without a time begins in the calendar's zone: X-WR-TIMEZONE, or the only
// VTIMEZONE. Turns lie in the years 1970 to 2099; what goes on for ever ends then.
//
// The error is a [*RosterError]; nothing of such a file is used.
func ParseRoster(text []byte) (Roster, []Warning, error) {
	if len(text) > MostText {
		return Roster{}, nil, wrong(0, fmt.Sprintf("has more than %d bytes", MostText), "leave out turns that are over")
	}
	r := rosterReader{budget: budget{mostDays}}
	events, err := r.read(text)
	if err != nil {
		return Roster{}, nil, err
	}
	roster, err := r.assemble(events)
	if err != nil {
		return Roster{}, nil, err
	}
	slices.SortStableFunc(r.warnings, func(a, b Warning) int { return cmp.Compare(a.Line, b.Line) })
	return roster, r.warnings, nil
}

// rosterReader is a file while it is read.
type rosterReader struct {
	zones    zones
	budget   budget
	warnings []Warning
}

func (r *rosterReader) warn(line int, text string) {
	r.warnings = append(r.warnings, Warning{line, text})
}

func (r *rosterReader) tooMuch(line int) error {
	return wrong(line, "the file recurs too often to be read", "leave out series that are over, and COUNTs of many years")
}

func (r *rosterReader) read(text []byte) ([]*event, error) {
	calendar, err := readCalendar(text)
	if err != nil {
		return nil, err
	}
	for _, known := range [][]string{{"VERSION", "2.0"}, {"CALSCALE", "GREGORIAN"}, {"METHOD", "PUBLISH", "REQUEST"}} {
		p, err := calendar.one(known[0])
		if err != nil {
			return nil, err
		}
		if p != nil && !slices.Contains(known[1:], strings.ToUpper(p.value)) {
			return nil, wrong(p.line, p.name+" "+quote(p.value)+" is not understood here", "export the roster with "+p.name+":"+known[1])
		}
	}
	if err := r.readZones(calendar); err != nil {
		return nil, err
	}
	var events []*event
	for _, part := range calendar.parts {
		if part.name != "VEVENT" {
			continue
		}
		if len(events) == MostEvents {
			return nil, wrong(part.line, fmt.Sprintf("has more than %d events", MostEvents), "leave out turns that are over")
		}
		e, err := r.event(part)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// assemble lets events that change others do so, and sorts turns by person.
func (r *rosterReader) assemble(events []*event) (Roster, error) {
	masters, changes, err := latest(events)
	if err != nil {
		return Roster{}, err
	}
	people := map[string][]*series{}
	add := func(e *event) {
		if len(e.who) > 0 && e.series.length == (length{}) {
			r.warn(e.line, "the turn takes no time: it puts nobody on duty")
			return
		}
		for _, login := range e.who {
			people[login] = append(people[login], e.series)
		}
	}
	for _, e := range changes {
		master := masters[e.uid]
		if master != nil && master.cancelled {
			continue
		}
		if master != nil && !master.series.leave(e.replaces.at(), &r.budget) {
			r.warn(e.line, "the event replaces a turn that its series does not have: it puts nobody on duty")
			continue
		}
		add(e)
	}
	for _, uid := range slices.Sorted(maps.Keys(masters)) {
		master := masters[uid]
		for _, m := range master.exdates {
			if !master.series.exclude(m, &r.budget) {
				r.warn(master.line, "an EXDATE excludes no turn")
			}
		}
		add(master)
	}
	if r.budget.days < 0 {
		return Roster{}, r.tooMuch(0)
	}
	var roster Roster
	for _, login := range slices.Sorted(maps.Keys(people)) {
		roster.people = append(roster.people, person{login, people[login]})
	}
	return roster, nil
}

// latest gives of each event the version with the highest SEQUENCE: series by
// UID, and what replaces single turns.
func latest(events []*event) (masters map[string]*event, changes []*event, err error) {
	type key struct {
		uid string
		at  int64
	}
	masters = map[string]*event{}
	replaced := map[key]*event{}
	for _, e := range events {
		var old *event
		if e.replaces == nil {
			old = masters[e.uid]
		} else {
			old = replaced[key{e.uid, e.replaces.at()}]
		}
		if old != nil && old.sequence == e.sequence {
			return nil, nil, wrong(e.line, fmt.Sprintf("the event of line %d has the same UID and SEQUENCE", old.line), "leave the one that is true")
		}
		if old != nil && old.sequence > e.sequence {
			continue
		}
		if e.replaces == nil {
			masters[e.uid] = e
		} else {
			replaced[key{e.uid, e.replaces.at()}] = e
		}
	}
	changes = slices.SortedFunc(maps.Values(replaced), func(a, b *event) int { return cmp.Compare(a.line, b.line) })
	return masters, changes, nil
}
