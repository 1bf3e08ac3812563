package calendar

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ruleReader takes an RRULE apart; parts that are read leave the map.
type ruleReader struct {
	rule  rule
	start moment
	parts map[string]string
	p     *property
}

const (
	mostInterval = 1000
	mostCount    = 100_000
)

// rule reads an RRULE. Its days begin with that of start; what rosters have no
// use for is refused, because to pass over it would change who is on duty.
func (r *rosterReader) rule(p *property, start moment) (*rule, error) {
	read := ruleReader{start: start, parts: map[string]string{}, p: p}
	for _, part := range strings.Split(p.value, ";") {
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToUpper(name)
		if _, twice := read.parts[name]; !ok || twice || value == "" {
			return nil, wrong(p.line, "RRULE part "+quote(part)+" cannot be read", "write NAME=value, each once, with ; between them")
		}
		read.parts[name] = strings.ToUpper(value)
	}
	read.rule = rule{interval: 1, first: floorDiv(start.wall, day), last: lastDay, until: never}
	for _, step := range []func() error{read.frequency, read.interval, read.days, read.defaults, read.until} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	count, err := read.number("COUNT", 1, mostCount)
	if err != nil {
		return nil, err
	}
	if rest := slices.Sorted(maps.Keys(read.parts)); len(rest) > 0 {
		return nil, wrong(p.line, "RRULE part "+quote(rest[0])+" is not understood here",
			"what is: FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS, WKST")
	}
	if count > 0 && !read.rule.count(count, &r.budget) {
		return nil, r.tooMuch(p.line)
	}
	return &read.rule, nil
}

func (r *ruleReader) wrong(reason, fix string) error { return wrong(r.p.line, "RRULE: "+reason, fix) }

// take gives a part's value, and takes the part as understood.
func (r *ruleReader) take(name string) (string, bool) {
	value, ok := r.parts[name]
	delete(r.parts, name)
	return value, ok
}

// number reads one part's number; 0 if it is not there.
func (r *ruleReader) number(name string, least, most int) (int64, error) {
	value, ok := r.take(name)
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, r.wrong(name+"="+quote(value)+" is no number that is understood here", fmt.Sprintf("write one from %d to %d", least, most))
	}
	return int64(n), nil
}

// numbers reads a list of numbers from 1, or from the end, to most.
func (r *ruleReader) numbers(name string, most int, fromEnd bool) ([]int, error) {
	value, ok := r.take(name)
	if !ok {
		return nil, nil
	}
	var all []int
	for one := range strings.SplitSeq(value, ",") {
		n, err := strconv.Atoi(one)
		if err != nil || n == 0 || n > most || n < -most || n < 0 && !fromEnd {
			return nil, r.wrong(name+"="+quote(one)+" is none that exists", fmt.Sprintf("write numbers from 1 to %d", most))
		}
		all = append(all, n)
	}
	if len(all) > 2*most {
		return nil, r.wrong(name+" names some twice", "write each once")
	}
	return all, nil
}

func (r *ruleReader) frequency() error {
	value, _ := r.take("FREQ")
	switch value {
	case "DAILY":
		r.rule.frequency = daily
	case "WEEKLY":
		r.rule.frequency = weekly
	case "MONTHLY":
		r.rule.frequency = monthly
	case "YEARLY":
		r.rule.frequency = yearly
	default:
		return r.wrong("FREQ="+quote(value)+" is not understood here", "write DAILY, WEEKLY, MONTHLY or YEARLY")
	}
	return nil
}

func (r *ruleReader) interval() error {
	n, err := r.number("INTERVAL", 1, mostInterval)
	r.rule.interval = max(n, 1)
	return err
}

func (r *ruleReader) days() error {
	months, err := r.numbers("BYMONTH", 12, false)
	if err != nil {
		return err
	}
	for _, m := range months {
		r.rule.months[m] = true
	}
	r.rule.ofYear = r.rule.frequency == yearly && months == nil
	if r.rule.monthDays, err = r.numbers("BYMONTHDAY", 31, true); err != nil {
		return err
	}
	if r.rule.monthDays != nil && r.rule.frequency == weekly {
		return r.wrong("a WEEKLY rule has no BYMONTHDAY", "write FREQ=MONTHLY or BYDAY")
	}
	if err := r.weekdays(); err != nil {
		return err
	}
	if r.rule.positions, err = r.numbers("BYSETPOS", 366, true); err != nil {
		return err
	}
	if r.rule.positions != nil && months == nil && r.rule.monthDays == nil && r.rule.weekdays == nil {
		return r.wrong("BYSETPOS chooses from nothing", "write BYDAY, BYMONTHDAY or BYMONTH too")
	}
	if months == nil {
		for m := range r.rule.months {
			r.rule.months[m] = true
		}
	}
	return nil
}

func (r *ruleReader) weekdays() error {
	value, ok := r.take("BYDAY")
	if !ok {
		return nil
	}
	for one := range strings.SplitSeq(value, ",") {
		d, ok := weekdayOf(one[max(len(one)-2, 0):])
		if !ok {
			return r.wrong("BYDAY="+quote(one)+" is no day of the week", "write MO, TU, WE, TH, FR, SA or SU, with 1 or -1 before it for the first or last")
		}
		want := nthDay{weekday: d}
		if count := one[:len(one)-2]; count != "" {
			most := map[frequency]int{monthly: 5, yearly: 53}[r.rule.frequency]
			if most > 0 && !r.rule.ofYear {
				most = 5
			}
			n, err := strconv.Atoi(count)
			if err != nil || n == 0 || n > most || n < -most {
				return r.wrong("BYDAY="+quote(one)+" is none that exists", "count days within a MONTHLY rule up to 5, within a YEARLY one up to 53")
			}
			want.n = n
		}
		r.rule.weekdays = append(r.rule.weekdays, want)
	}
	if len(r.rule.weekdays) > 2*53*7 {
		return r.wrong("BYDAY names some twice", "write each once")
	}
	return nil
}

func weekdayOf(text string) (d int, ok bool) {
	at := strings.Index("MOTUWETHFRSASU", text)
	return at / 2, len(text) == 2 && at >= 0 && at%2 == 0
}

// defaults takes from DTSTART what the rule does not say.
func (r *ruleReader) defaults() error {
	if value, ok := r.take("WKST"); ok {
		d, ok := weekdayOf(value)
		if !ok {
			return r.wrong("WKST="+quote(value)+" is no day of the week", "write MO or SU")
		}
		r.rule.begins = int64(d)
	}
	if r.rule.monthDays != nil || r.rule.weekdays != nil {
		return nil
	}
	start := dateOf(r.rule.first)
	switch r.rule.frequency {
	case weekly:
		r.rule.weekdays = []nthDay{{weekday: weekday(r.rule.first)}}
	case monthly:
		r.rule.monthDays = []int{start.Day()}
	case yearly:
		r.rule.monthDays = []int{start.Day()}
		if r.rule.ofYear {
			r.rule.months = [13]bool{}
			r.rule.months[start.Month()] = true
		}
	}
	return nil
}

// until reads UNTIL: a DATE is the last day by DTSTART's zone, a time is in UTC.
func (r *ruleReader) until() error {
	value, ok := r.take("UNTIL")
	if !ok {
		return nil
	}
	if _, both := r.parts["COUNT"]; both {
		return r.wrong("has both COUNT and UNTIL", "leave the one that is meant")
	}
	if wall, ok := readWall(value, true, firstYear); ok {
		r.rule.last = wall / day
		return nil
	}
	text, utc := strings.CutSuffix(value, "Z")
	wall, ok := readWall(text, false, firstYear)
	if !ok || !utc {
		return r.wrong("UNTIL="+quote(value)+" is neither a day nor a time in UTC", "write UNTIL=20261231 or UNTIL=20261231T060000Z")
	}
	r.rule.until = wall
	return nil
}
