package calendar

import (
	"strconv"
	"strings"
	"time"
)

// Rosters speak of the time between these years. What goes on for ever ends
// with the last of them.
const (
	firstYear = 1970
	lastYear  = 2099
	lastDay   = 47481 // 2099-12-31, counted from 1970-01-01
)

// moment is a DATE-TIME or DATE: a time on a wall.
type moment struct {
	wall int64 // seconds as if of UTC
	zone *zone
	date bool // midnight, and the whole day is meant
}

// at gives the instant.
func (m moment) at() int64 { return m.zone.begin(m.wall) }

// readWall reads 20260131, if date, or 20260131T070000.
func readWall(text string, date bool, first int) (wall int64, ok bool) {
	form := "20060102T150405"
	if date {
		form = "20060102"
	}
	t, err := time.Parse(form, text)
	if len(text) != len(form) || err != nil || t.Year() < first || t.Year() > lastYear {
		return 0, false
	}
	return t.Unix(), true
}

// moment reads one value of DTSTART, DTEND, RDATE, EXDATE or RECURRENCE-ID.
func (r *rosterReader) moment(p *property, value string) (moment, error) {
	kind := strings.ToUpper(p.param("VALUE"))
	if kind != "" && kind != "DATE" && kind != "DATE-TIME" {
		return moment{}, wrong(p.line, p.name+" is given as "+quote(kind)+", which is not understood here", "write a DATE-TIME or a DATE")
	}
	m := moment{date: kind == "DATE"}
	text, utc := strings.CutSuffix(value, "Z")
	var ok bool
	if m.wall, ok = readWall(text, m.date, firstYear); !ok || utc && m.date {
		return moment{}, wrong(p.line, p.name+" "+quote(value)+" is no time from 1970 to 2099",
			"write 20260131T070000Z, or with ;TZID=America/Chicago 20260131T070000, or with ;VALUE=DATE 20260131")
	}
	var err error
	switch tzid := p.param("TZID"); {
	case utc && tzid != "":
		return moment{}, wrong(p.line, p.name+" names a time zone and is in UTC", "leave away ;TZID= or the Z")
	case utc:
		m.zone = r.zones.utc
	case tzid != "":
		m.zone, err = r.zones.find(tzid, p.line)
	case m.date:
		m.zone, err = r.zones.ofDays(p)
	default:
		err = wrong(p.line, p.name+" "+quote(value)+" is a floating time: it does not say in which time zone", "add ;TZID=America/Chicago, or write it in UTC with a Z")
	}
	return m, err
}

// length is how long a turn takes: first by the clock on the wall, then by one
// in the hand.
type length struct{ wall, elapsed int64 }

// readDuration reads a DURATION that is not negative (RFC 5545, section 3.3.6):
// P1W, P1D, PT12H30M. Weeks and days are by the wall, the rest is elapsed time.
func readDuration(text string) (length, bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(text, "+"), "P")
	days, hours, timed := strings.Cut(rest, "T")
	wall, okDays := readUnits(days, "WD", week, day)
	elapsed, okHours := readUnits(hours, "HMS", hour, minute, 1)
	return length{wall, elapsed}, ok && rest != "" && okDays && okHours && timed == (hours != "")
}

// readUnits sums numbers that are each followed by a unit, in the order of units.
func readUnits(text, units string, seconds ...int64) (sum int64, ok bool) {
	for text != "" {
		i := strings.IndexFunc(text, func(c rune) bool { return c < '0' || c > '9' })
		if i < 1 || i > 8 {
			return 0, false
		}
		n, _ := strconv.ParseInt(text[:i], 10, 64)
		at := strings.IndexByte(units, text[i])
		if at < 0 {
			return 0, false
		}
		sum += n * seconds[at]
		units, seconds, text = units[at+1:], seconds[at+1:], text[i+1:]
	}
	return sum, true
}

// readOffset reads +HHMM or +HHMMSS into seconds east of UTC.
func readOffset(text string) (int64, bool) {
	if len(text) != 5 && len(text) != 7 || text[0] != '+' && text[0] != '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(text[1:]+"00"[:7-len(text)], 10, 32)
	seconds := int64(n/10000*hour + n/100%100*minute + n%100)
	if err != nil || n/100%100 > 59 || n%100 > 59 || seconds >= day {
		return 0, false
	}
	if text[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}
