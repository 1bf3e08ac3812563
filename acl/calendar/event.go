package calendar

import (
	"slices"
	"strconv"
	"strings"
)

// event is one VEVENT: a turn, a series of them, or what one of a series was
// changed to.
type event struct {
	line      int
	uid       string
	sequence  int
	replaces  *moment // RECURRENCE-ID: the turn of the series that this one stands for
	cancelled bool
	who       []string
	series    *series
	exdates   []moment
}

// longestTurn is that of a series: a question looks at every day whose turn may
// still go on.
const longestTurn = 31 * day

// event reads a VEVENT.
func (r *rosterReader) event(c *component) (*event, error) {
	e := &event{line: c.line}
	for _, step := range []func(*component, *event) error{r.identity, r.times, r.recurrence, r.status} {
		if err := step(c, e); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (r *rosterReader) identity(c *component, e *event) error {
	uid, err := c.one("UID")
	if err != nil {
		return err
	}
	if uid == nil || uid.value == "" {
		return wrong(c.line, "VEVENT has no UID", "give each event its own")
	}
	e.uid = uid.value
	sequence, err := c.one("SEQUENCE")
	if sequence == nil || err != nil {
		return err
	}
	if e.sequence, err = strconv.Atoi(sequence.value); err != nil || e.sequence < 0 {
		return wrong(sequence.line, "SEQUENCE "+quote(sequence.value)+" is no number", "write SEQUENCE:0")
	}
	return nil
}

func (r *rosterReader) times(c *component, e *event) error {
	p, err := c.one("DTSTART")
	if err != nil {
		return err
	}
	if p == nil {
		return wrong(c.line, "VEVENT has no DTSTART", "say when the turn begins")
	}
	start, err := r.moment(p, p.value)
	if err != nil {
		return err
	}
	e.series = &series{start: start}
	if e.series.length, err = r.length(c, start); err != nil {
		return err
	}
	id, err := c.one("RECURRENCE-ID")
	if id == nil || err != nil {
		return err
	}
	if id.param("RANGE") != "" {
		return wrong(id.line, "RECURRENCE-ID with RANGE is not understood here", "end the series there, and write another one")
	}
	replaces, err := r.moment(id, id.value)
	e.replaces = &replaces
	return err
}

// length reads DTEND or DURATION; without them a day lasts a day, and a time
// nothing.
func (r *rosterReader) length(c *component, start moment) (length, error) {
	end, err := c.one("DTEND")
	if err != nil {
		return length{}, err
	}
	duration, err := c.one("DURATION")
	switch {
	case err != nil:
		return length{}, err
	case end != nil && duration != nil:
		return length{}, wrong(duration.line, "VEVENT has both DTEND and DURATION", "leave the one that is meant")
	case end != nil:
		return r.lengthTo(end, start)
	case duration != nil:
		l, ok := readDuration(duration.value)
		if !ok || start.date && l.elapsed > 0 {
			return length{}, wrong(duration.line, "DURATION "+quote(duration.value)+" is none", "write PT12H; for days, P1D")
		}
		return l, nil
	case start.date:
		return length{wall: day}, nil
	}
	return length{}, nil
}

// lengthTo gives the length to DTEND. On the clock that it began by, a turn to
// 07:00 ends at 07:00 also when the clock is changed that night; RFC 5545 asks
// for the same number of seconds, and would leave a ward an hour without.
func (r *rosterReader) lengthTo(p *property, start moment) (length, error) {
	end, err := r.moment(p, p.value)
	if err != nil {
		return length{}, err
	}
	l := length{elapsed: end.at() - start.at()}
	if end.zone == start.zone {
		l = length{wall: end.wall - start.wall}
	}
	if end.date != start.date || l.wall < 0 || l.elapsed < 0 {
		return length{}, wrong(p.line, "DTEND is not after DTSTART, or only one of them is a day", "write both in the same way, DTEND later")
	}
	return l, nil
}

func (r *rosterReader) recurrence(c *component, e *event) error {
	if old := c.all("EXRULE"); len(old) > 0 {
		return wrong(old[0].line, "EXRULE is not understood here, as RFC 5545 no longer knows it", "write EXDATE")
	}
	p, err := c.one("RRULE")
	if err != nil {
		return err
	}
	if p != nil {
		if e.series.rule, err = r.rule(p, e.series.start); err != nil {
			return err
		}
		if !e.series.rule.has(e.series.rule.first, nil) {
			return wrong(p.line, "DTSTART is no day of this RRULE, and RFC 5545 leaves open what that means", "move DTSTART to the first turn")
		}
	} else {
		e.series.add(e.series.start)
	}
	dates, err := r.moments(c, "RDATE")
	if err != nil {
		return err
	}
	for _, d := range dates {
		e.series.add(d)
	}
	slices.SortFunc(e.series.dates, func(a, b onset) int { return byInstant(a, b.at) })
	if e.exdates, err = r.moments(c, "EXDATE"); err != nil {
		return err
	}
	recurs := e.series.rule != nil || len(dates) > 0
	if recurs && e.replaces != nil {
		return wrong(c.line, "VEVENT has a RECURRENCE-ID and recurs itself", "give the series a UID of its own")
	}
	if l := e.series.length; recurs && l.wall+l.elapsed > longestTurn {
		return wrong(c.line, "a turn that recurs lasts longer than 31 days", "write turns that follow each other")
	}
	return nil
}

// moments reads all values of a property that may stand more than once.
func (r *rosterReader) moments(c *component, name string) ([]moment, error) {
	var all []moment
	for _, p := range c.all(name) {
		for value := range strings.SplitSeq(p.value, ",") {
			m, err := r.moment(p, value)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// status reads who is on duty. What is not settled puts nobody there.
func (r *rosterReader) status(c *component, e *event) error {
	p, err := c.one("STATUS")
	if err != nil {
		return err
	}
	status := "CONFIRMED"
	if p != nil {
		status = strings.ToUpper(p.value)
	}
	switch status {
	case "CONFIRMED":
		return r.attendees(c, e)
	case "CANCELLED":
		e.cancelled = true
	case "TENTATIVE":
		r.warn(p.line, "the turn is tentative: it puts nobody on duty")
	default:
		return wrong(p.line, "STATUS "+quote(p.value)+" is none of an event", "write CONFIRMED, TENTATIVE or CANCELLED")
	}
	return nil
}
