package calendar

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

const (
	mostZones  = 100
	mostShifts = 10_000 // of one VTIMEZONE
)

// zones finds the time zones that a file names.
type zones struct {
	reader  *rosterReader
	utc     *zone
	known   map[string]*zone
	defined map[string]*component // VTIMEZONE by TZID
	days    string                // X-WR-TIMEZONE: where a day without a zone begins
}

// readZones looks up what a calendar says of zones; VTIMEZONEs are read when
// something needs them.
func (r *rosterReader) readZones(calendar *component) error {
	r.zones = zones{reader: r, utc: &zone{location: time.UTC}, known: map[string]*zone{}, defined: map[string]*component{}}
	for _, part := range calendar.parts {
		if part.name != "VTIMEZONE" {
			continue
		}
		id, err := part.one("TZID")
		if err != nil {
			return err
		}
		if id == nil || r.zones.defined[id.value] != nil {
			return wrong(part.line, "VTIMEZONE has no TZID of its own", "give each VTIMEZONE its name")
		}
		r.zones.defined[id.value] = part
	}
	name, err := calendar.one("X-WR-TIMEZONE")
	if name != nil {
		r.zones.days = name.value
	}
	return err
}

// find gives the zone of a TZID: the IANA database's, which knows of later
// changes, or what the file itself says of it.
func (z *zones) find(tzid string, line int) (*zone, error) {
	if known := z.known[tzid]; known != nil {
		return known, nil
	}
	if len(z.known) == mostZones {
		return nil, wrong(line, fmt.Sprintf("names more than %d time zones", mostZones), "")
	}
	found, err := loadZone(tzid)
	if err != nil && z.defined[tzid] == nil {
		return nil, wrong(line, "TZID "+quote(tzid)+" is no time zone of the IANA database, and the file has no VTIMEZONE of that name",
			"write one such as America/Chicago")
	}
	if err != nil {
		if found, err = z.reader.timezone(z.defined[tzid]); err != nil {
			return nil, err
		}
	}
	z.known[tzid] = found
	return found, nil
}

// ofDays gives the zone of a DATE, which names none: that of the calendar.
func (z *zones) ofDays(p *property) (*zone, error) {
	if z.days != "" {
		return z.find(z.days, p.line)
	}
	if len(z.defined) == 1 {
		for tzid := range z.defined {
			return z.find(tzid, p.line)
		}
	}
	return nil, wrong(p.line, p.name+" is a day, and nothing says in which time zone it begins",
		"add X-WR-TIMEZONE:America/Chicago to the calendar, or write times with ;TZID=")
}

// timezone reads a VTIMEZONE (RFC 5545, section 3.6.5).
func (r *rosterReader) timezone(c *component) (*zone, error) {
	var shifts []shift
	before := map[int64]int64{} // the offset that a shift leaves
	for _, part := range c.parts {
		if part.name != "STANDARD" && part.name != "DAYLIGHT" {
			continue
		}
		from, to, onsets, err := r.observance(part)
		if err != nil {
			return nil, err
		}
		for _, at := range onsets {
			shifts = append(shifts, shift{at, to})
			before[at] = from
		}
		if len(shifts) > mostShifts {
			return nil, wrong(c.line, "VTIMEZONE changes its clock too often", "")
		}
	}
	if len(shifts) == 0 {
		return nil, wrong(c.line, "VTIMEZONE says nothing of its offset from UTC", "give it a STANDARD or DAYLIGHT")
	}
	slices.SortFunc(shifts, func(a, b shift) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.offset, b.offset)) })
	shifts = slices.Compact(shifts)
	for i := 1; i < len(shifts); i++ {
		if shifts[i].at-shifts[i-1].at < day {
			return nil, wrong(c.line, "VTIMEZONE changes its clock twice within a day", "")
		}
	}
	first := shift{math.MinInt64, before[shifts[0].at]}
	return &zone{shifts: append([]shift{first}, shifts...)}, nil
}

// observance reads a STANDARD or DAYLIGHT: offsets in seconds east of UTC, and
// the instants at which one gives way to the other.
func (r *rosterReader) observance(c *component) (from, to int64, onsets []int64, err error) {
	values := map[string]string{}
	for _, name := range []string{"TZOFFSETFROM", "TZOFFSETTO", "DTSTART"} {
		p, err := c.one(name)
		if err != nil {
			return 0, 0, nil, err
		}
		if p == nil {
			return 0, 0, nil, wrong(c.line, c.name+" has no "+name, "")
		}
		values[name] = p.value
	}
	from, okFrom := readOffset(values["TZOFFSETFROM"])
	to, okTo := readOffset(values["TZOFFSETTO"])
	wall, ok := readWall(values["DTSTART"], false, 1600) // Windows counts from 1601
	if !okFrom || !okTo || !ok {
		return 0, 0, nil, wrong(c.line, c.name+" has an offset or a DTSTART that cannot be read", "write -0600, and 20070311T020000")
	}
	onsets, err = r.onsets(c, moment{wall: wall}, from)
	return from, to, onsets, err
}

// onsets gives the instants at which an observance begins, those from 1969 on
// if a rule says which: a rule's DTSTART of 1601 is the begin of nothing.
func (r *rosterReader) onsets(c *component, start moment, offset int64) ([]int64, error) {
	var onsets []int64
	for _, p := range c.all("RDATE") {
		for _, value := range strings.Split(p.value, ",") {
			wall, ok := readWall(value, false, 1600)
			if !ok {
				return nil, wrong(p.line, "RDATE "+quote(value)+" is no time", "write 20070311T020000")
			}
			onsets = append(onsets, wall-offset)
		}
	}
	p, err := c.one("RRULE")
	if p == nil || err != nil {
		return append(onsets, start.wall-offset), err
	}
	rule, err := r.rule(p, start)
	if err != nil {
		return nil, err
	}
	enough := rule.each(-366, rule.last, &r.budget, func(d int64) bool {
		at := d*day + floorMod(start.wall, day) - offset
		if at > rule.until || len(onsets) > mostShifts {
			return false
		}
		onsets = append(onsets, at)
		return true
	})
	if !enough {
		return nil, r.tooMuch(p.line)
	}
	return onsets, nil
}
