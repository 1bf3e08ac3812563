package calendar

import (
	"slices"
	"strings"
	"time"
)

// Weekly is a set of spans of the week by the wall clock of one time zone. The
// zero value is never open. Two that were written differently and are open at
// the same times of the week are [Weekly.Equal].
type Weekly struct {
	zone  *zone
	spans []span // seconds since Monday 00:00 on the wall, within one week, sorted, apart
}

// wallWeek gives the wall time of the Monday 00:00 at or before a wall time.
func wallWeek(wall int64) int64 {
	const monday = 4 * day // 1970-01-05
	return wall - floorMod(wall-monday, week)
}

func floorMod(a, b int64) int64 { return ((a % b) + b) % b }

func floorDiv(a, b int64) int64 { return (a - floorMod(a, b)) / b }

// Windows gives when it is open in [from, until): sorted, joined where windows
// touch, and cut off at from and until, because what is always open has no end.
func (w Weekly) Windows(from, until time.Time) []Window {
	if w.zone == nil || !from.Before(until) {
		return nil
	}
	var windows []Window
	for _, s := range join(w.open(from.Unix(), until.Unix())) {
		one := Window{w.time(s.from), w.time(s.until)}
		if one.From.Before(from) {
			one.From = from.In(w.zone.location)
		}
		if one.Until.After(until) {
			one.Until = until.In(w.zone.location)
		}
		if one.From.Before(one.Until) {
			windows = append(windows, one)
		}
	}
	return windows
}

func (w Weekly) time(at int64) time.Time { return time.Unix(at, 0).In(w.zone.location) }

// open gives all spans that touch [from, until], and some around it, sorted; one
// that a gap leaves out is empty.
func (w Weekly) open(from, until int64) []span {
	var all []span
	for monday := wallWeek(from-reach) - week; monday <= until+reach; monday += week {
		for _, s := range w.spans {
			all = append(all, span{w.zone.begin(monday + s.from), w.zone.end(monday + s.until)})
		}
	}
	return all
}

// At tells whether it is open at t, and the first instant after t at which that
// changes: the zero time if it never does.
func (w Weekly) At(t time.Time) (open bool, next time.Time) {
	// A span that falls into a gap is missing for a week, and so is a day that
	// a country leaves out to cross the date line.
	limit := t.Add(3 * week * time.Second)
	windows := w.Windows(t, limit)
	switch {
	case len(windows) == 0:
		return false, time.Time{}
	case !windows[0].Holds(t):
		return false, windows[0].From
	case windows[0].Until.Equal(limit):
		return true, time.Time{}
	}
	return true, windows[0].Until
}

// Meets tells whether it and another one are ever open at once in [from, until).
func (w Weekly) Meets(o Weekly, from, until time.Time) bool {
	const month = 4 * week * time.Second // most meet in the first week
	for ; from.Before(until); from = from.Add(month) {
		end := from.Add(month)
		if end.After(until) {
			end = until
		}
		if overlap(w.Windows(from, end), o.Windows(from, end)) {
			return true
		}
	}
	return false
}

// overlap tells whether two lists have an instant in common, each sorted and its windows
// apart.
func overlap(a, b []Window) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case !a[0].From.Before(b[0].Until):
			b = b[1:]
		case !b[0].From.Before(a[0].Until):
			a = a[1:]
		default:
			return true
		}
	}
	return false
}

// Times gives how often it opens in a week.
func (w Weekly) Times() int { return len(w.spans) }

// Equal tells whether both are open at the same times of the week, by the same
// zone's clock.
func (w Weekly) Equal(o Weekly) bool {
	if w.zone == nil || o.zone == nil {
		return w.zone == o.zone
	}
	return w.zone.location.String() == o.zone.location.String() && slices.Equal(w.spans, o.spans)
}

// String gives the zone and the spans in the shortest form that [ParseWeekly]
// reads: "America/Chicago: Mon-Fri 07:00-19:00; Sat 09:00-12:00".
func (w Weekly) String() string {
	if w.zone == nil {
		return "never"
	}
	return w.zone.location.String() + ": " + strings.Join(w.Spans(), "; ")
}

// Spans gives the spans one by one, none of them over midnight.
func (w Weekly) Spans() []string {
	days := map[string][]int{} // by hours; 0 is Monday
	var order []string
	for _, s := range w.spans {
		for from := s.from; from < s.until; {
			midnight := from - floorMod(from, day) + day
			until := min(s.until, midnight)
			hours := clock(from-(midnight-day)) + "-" + clock(until-(midnight-day))
			if days[hours] == nil {
				order = append(order, hours)
			}
			days[hours] = append(days[hours], int(from/day))
			from = until
		}
	}
	var spans []string
	for _, hours := range order {
		spans = append(spans, dayList(days[hours])+" "+hours)
	}
	return spans
}

func clock(seconds int64) string {
	two := func(n int64) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
	return two(seconds/hour) + ":" + two(seconds%hour/minute)
}

// dayList writes sorted days as "Mon-Wed,Fri".
func dayList(days []int) string {
	var list []string
	for i := 0; i < len(days); {
		last := i
		for last+1 < len(days) && days[last+1] == days[last]+1 {
			last++
		}
		run := dayNames[days[i]][:3]
		if last > i {
			run += "-" + dayNames[days[last]][:3]
		}
		list = append(list, run)
		i = last + 1
	}
	return strings.Join(list, ",")
}
