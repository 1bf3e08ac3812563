package calendar_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl/calendar"
)

func mustWeekly(t *testing.T, tz string, spans ...string) calendar.Weekly {
	t.Helper()
	w, err := calendar.ParseWeekly(tz, spans)
	if err != nil {
		t.Fatalf("parse %s %v: %v", tz, spans, err)
	}
	return w
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func draw(windows []calendar.Window) string {
	var lines []string
	for _, w := range windows {
		lines = append(lines, w.From.Format("Mon 01-02T15:04-0700")+" "+w.Until.Format("Mon 01-02T15:04-0700"))
	}
	return strings.Join(lines, "\n")
}

func TestWeeklySyntax(t *testing.T) {
	for _, c := range []struct{ spans, want string }{
		{"Mon-Fri 07:00-19:00", "Mon-Fri 07:00-19:00"},
		{"monday - FRIDAY  07:00 - 19:00 ", "Mon-Fri 07:00-19:00"},
		{"Mon, Wed,Fri 08:00-12:00,13:00-17:00", "Mon,Wed,Fri 08:00-12:00; Mon,Wed,Fri 13:00-17:00"},
		{"Fri-Mon 10:00-11:00", "Mon,Fri-Sun 10:00-11:00"},
		{"daily 00:00-24:00", "Mon-Sun 00:00-24:00"},
		{"Sat,Sunday", "Sat-Sun 00:00-24:00"},
		{"Tue 22:00-06:00", "Tue 22:00-24:00; Wed 00:00-06:00"},
		{"Sun 22:00-06:00", "Mon 00:00-06:00; Sun 22:00-24:00"},
		{"Tue 22:00-00:00", "Tue 22:00-24:00"},
		{"Mon 07:00-12:00|Mon 12:00-19:00|Mon 08:00-09:00", "Mon 07:00-19:00"},
		{"Sat-Sat 01:00-02:00", "Sat 01:00-02:00"},
	} {
		w := mustWeekly(t, "Europe/Berlin", strings.Split(c.spans, "|")...)
		if got := strings.Join(w.Spans(), "; "); got != c.want {
			t.Errorf("%q is %q, want %q", c.spans, got, c.want)
		}
		again := mustWeekly(t, "Europe/Berlin", w.Spans()...)
		if !again.Equal(w) || w.String() != "Europe/Berlin: "+c.want {
			t.Errorf("%q is written as %q, which is read as %q", c.spans, w, again)
		}
	}
}

func TestWeeklyEqual(t *testing.T) {
	a := mustWeekly(t, "Europe/Berlin", "Mon-Fri 07:00-19:00")
	for _, other := range []calendar.Weekly{{}, mustWeekly(t, "Europe/Paris", "Mon-Fri 07:00-19:00"), mustWeekly(t, "Europe/Berlin", "Mon-Fri 07:00-19:01")} {
		if a.Equal(other) || other.Equal(a) {
			t.Errorf("%q equals %q", a, other)
		}
	}
	if !(calendar.Weekly{}).Equal(calendar.Weekly{}) {
		t.Error("the zero value is not equal to itself")
	}
}

func TestWeeklyErrors(t *testing.T) {
	for _, c := range []struct {
		spans  string
		index  int
		offset int
		reason string
	}{
		{"", 0, 0, "a day is missing"},
		{"Mon 07:00-19:00|Mo-Fri", 1, 0, "no day of the week"},
		{"Mon-Fry", 0, 4, "no day of the week"},
		{"Mon-", 0, 4, "no day of the week"},
		{"Mon,", 0, 4, "a day is missing"},
		{"daily-Fri 01:00-02:00", 0, 5, "no time of the day"},
		{"07:00-19:00", 0, 0, "no day of the week"},
		{"Mon 7:00-19:00", 0, 4, "no time of the day"},
		{"Mon 07:00-24:01", 0, 10, "no time of the day"},
		{"Mon 07:60-08:00", 0, 4, "no time of the day"},
		{"Mon 25:00-26:00", 0, 4, "no time of the day"},
		{"Mon 24:00-06:00", 0, 4, "begins nothing"},
		{"Mon 07:00", 0, 9, "end of the time is missing"},
		{"Mon 07:00-", 0, 10, "no time of the day"},
		{"Mon 07:00-07:00", 0, 4, "begins and ends at the same time"},
		{"Mon 07:00-08:00 Tue", 0, 16, "more than days and times"},
		{"Mon +7:00-08:00", 0, 4, "no time of the day"},
	} {
		w, err := calendar.ParseWeekly("Europe/Berlin", strings.Split(c.spans, "|"))
		var wrong *calendar.SpanError
		if !errors.As(err, &wrong) {
			t.Errorf("%q: error %v", c.spans, err)
			continue
		}
		if wrong.Index != c.index || wrong.Offset != c.offset || !strings.Contains(err.Error(), c.reason) || wrong.Fix == "" || !w.Equal(calendar.Weekly{}) {
			t.Errorf("%q: %v, want weekly[%d] at %d: %s", c.spans, err, c.index, c.offset, c.reason)
		}
	}
	if _, err := calendar.ParseWeekly("Europe/Berlin", nil); err == nil || !strings.Contains(err.Error(), "never be open") {
		t.Errorf("no spans: %v", err)
	}
}

func TestZonesThatAreRefused(t *testing.T) {
	for _, tz := range []string{"", "Local", "localtime", "posixrules", "posix/Europe/Berlin", "right/UTC", "Mars/Base", "../UTC", "/etc/localtime", "America/Chicago ", strings.Repeat("x", 1<<20)} {
		_, err := calendar.ParseWeekly(tz, []string{"Mon"})
		var wrong *calendar.ZoneError
		if !errors.As(err, &wrong) || wrong.Zone != tz || wrong.Fix == "" || len(err.Error()) > 300 {
			t.Errorf("tz %.20q: %.100v", tz, err)
		}
	}
}

// TestWeeklyAcrossClockChanges holds what a span means when its time is missing
// or comes twice.
func TestWeeklyAcrossClockChanges(t *testing.T) {
	for _, c := range []struct{ name, tz, span, from, until, want string }{
		{"a usual week", "America/Chicago", "Mon-Tue 07:00-19:00", "2026-06-01T00:00:00Z", "2026-06-08T00:00:00Z",
			"Mon 06-01T07:00-0500 Mon 06-01T19:00-0500\nTue 06-02T07:00-0500 Tue 06-02T19:00-0500"},
		{"begins in the gap", "America/Chicago", "Sun 02:30-04:00", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z",
			"Sun 03-08T03:00-0500 Sun 03-08T04:00-0500"},
		{"ends in the gap", "America/Chicago", "Sun 01:00-02:30", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z",
			"Sun 03-08T01:00-0600 Sun 03-08T03:00-0500"},
		{"is the gap", "America/Chicago", "Sun 02:15-02:45", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z", ""},
		{"over the gap", "America/Chicago", "Sat 22:00-06:00", "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z",
			"Sat 03-07T22:00-0600 Sun 03-08T06:00-0500"},
		{"begins in the hour that comes twice", "America/Chicago", "Sun 01:30-03:00", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z",
			"Sun 11-01T01:30-0500 Sun 11-01T03:00-0600"},
		{"ends in the hour that comes twice", "America/Chicago", "Sun 00:00-01:30", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z",
			"Sun 11-01T00:00-0500 Sun 11-01T01:30-0600"},
		{"within the hour that comes twice", "America/Chicago", "Sun 01:10-01:20", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z",
			"Sun 11-01T01:10-0500 Sun 11-01T01:20-0600"},
		{"midnight is missing", "Asia/Beirut", "Sun 00:00-01:30", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z",
			"Sun 03-29T01:00+0300 Sun 03-29T01:30+0300"},
		{"half an hour is missing", "Australia/Lord_Howe", "Sun 02:10-02:50", "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z",
			"Sun 10-04T02:30+1100 Sun 10-04T02:50+1100"},
		{"a whole day is missing", "Pacific/Apia", "Thu-Sat 09:00-10:00", "2011-12-28T00:00:00Z", "2012-01-02T00:00:00Z",
			"Thu 12-29T09:00-1000 Thu 12-29T10:00-1000\nSat 12-31T09:00+1400 Sat 12-31T10:00+1400"},
		{"always", "America/Chicago", "daily", "2026-03-01T00:00:00Z", "2026-12-01T00:00:00Z",
			"Sat 02-28T18:00-0600 Mon 11-30T18:00-0600"},
		{"cut off", "Etc/UTC", "Mon 07:00-19:00", "2026-06-01T08:00:00Z", "2026-06-01T09:30:00Z", "Mon 06-01T08:00+0000 Mon 06-01T09:30+0000"},
		{"inverted question", "Etc/UTC", "daily", "2026-06-02T00:00:00Z", "2026-06-01T00:00:00Z", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := mustWeekly(t, c.tz, c.span)
			if got := draw(w.Windows(instant(t, c.from), instant(t, c.until))); got != c.want {
				t.Errorf("%s\nis   %s\nwant %s", w, got, c.want)
			}
		})
	}
}

func TestWeeklyAt(t *testing.T) {
	office := mustWeekly(t, "America/Chicago", "Mon-Fri 07:00-19:00")
	for _, c := range []struct {
		at   string
		open bool
		next string
	}{
		{"2026-11-22T03:00:00-06:00", false, "2026-11-23T07:00:00-06:00"},
		{"2026-11-23T06:59:59.999-06:00", false, "2026-11-23T07:00:00-06:00"},
		{"2026-11-23T07:00:00-06:00", true, "2026-11-23T19:00:00-06:00"},
		{"2026-11-23T18:59:59.999-06:00", true, "2026-11-23T19:00:00-06:00"},
		{"2026-11-27T19:00:00-06:00", false, "2026-11-30T07:00:00-06:00"},
	} {
		open, next := office.At(instant(t, c.at))
		if open != c.open || !next.Equal(instant(t, c.next)) {
			t.Errorf("at %s: open %v until %s, want %v %s", c.at, open, next, c.open, c.next)
		}
	}
	now := instant(t, "2026-03-08T12:00:00Z")
	if open, next := mustWeekly(t, "America/Chicago", "daily").At(now); !open || !next.IsZero() {
		t.Errorf("always: %v %s", open, next)
	}
	if open, next := (calendar.Weekly{}).At(now); open || !next.IsZero() {
		t.Errorf("never: %v %s", open, next)
	}
	missing := mustWeekly(t, "America/Chicago", "Sun 02:15-02:45")
	if open, next := missing.At(instant(t, "2026-03-01T12:00:00Z")); open || !next.Equal(instant(t, "2026-03-15T02:15:00-05:00")) {
		t.Errorf("a span that the gap leaves out: %v %s", open, next)
	}
}

// Two schedules meet where, and only where, a window of one overlaps one of the other's.
func TestWeeklyMeets(t *testing.T) {
	day, night := mustWeekly(t, "America/Chicago", "daily 07:00-19:00"), mustWeekly(t, "America/Chicago", "daily 19:00-07:00")
	winter, year := instant(t, "2026-11-23T12:00:00Z"), instant(t, "2027-11-23T12:00:00Z")
	if day.Meets(night, winter, year) || !day.Meets(day, winter, year) || day.Meets(calendar.Weekly{}, winter, year) || day.Meets(day, year, winter) {
		t.Error("day and night meet, or day never meets day")
	}
	if kolkata := mustWeekly(t, "Asia/Kolkata", "daily 06:30-17:31"); !day.Meets(kolkata, winter, year) || day.Meets(kolkata, winter, instant(t, "2027-03-14T00:00:00Z")) {
		t.Error("they meet in summer alone, when Chicago's clocks are put forward")
	}
	zones := []string{"America/Chicago", "Europe/Berlin", "Asia/Kolkata", "Etc/UTC"}
	rapid.Check(t, func(t *rapid.T) {
		weekly := func(name string) calendar.Weekly {
			day, from := rapid.IntRange(0, 6).Draw(t, name), rapid.IntRange(0, 23).Draw(t, "hour")
			span := fmt.Sprintf("%s %02d:00-%02d:00", time.Weekday(day), from, (from+rapid.IntRange(1, 23).Draw(t, "hours"))%24)
			w, err := calendar.ParseWeekly(rapid.SampledFrom(zones).Draw(t, "tz"), []string{span})
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		a, b := weekly("a"), weekly("b")
		from := winter.Add(time.Duration(rapid.IntRange(0, 24*365).Draw(t, "from")) * time.Hour)
		until := from.Add(time.Duration(rapid.IntRange(0, 24*70).Draw(t, "long")) * time.Hour)
		want := slices.ContainsFunc(a.Windows(from, until), func(x calendar.Window) bool {
			return slices.ContainsFunc(b.Windows(from, until), func(y calendar.Window) bool { return x.From.Before(y.Until) && y.From.Before(x.Until) })
		})
		if a.Meets(b, from, until) != want || b.Meets(a, from, until) != want {
			t.Fatalf("%s and %s from %s until %s: want %v", a, b, from, until, want)
		}
	})
}

// naiveOpen reads the wall clock, which is all that there is to it on days on
// which nobody changes it.
func naiveOpen(at time.Time, day time.Weekday, from, until int) bool {
	now := at.Hour()*60 + at.Minute()
	if from < until {
		return at.Weekday() == day && now >= from && now < until
	}
	return at.Weekday() == day && now >= from || at.Weekday() == (day+1)%7 && now < until
}

// TestWeeklyAgreesWithItself: windows, single answers and a naive reading of the
// clock say the same at any instant, in zones with the oddest clocks.
func TestWeeklyAgreesWithItself(t *testing.T) {
	zones := []string{"America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut", "Pacific/Apia", "Africa/Casablanca", "America/Nuuk", "Asia/Kolkata", "Etc/UTC"}
	rapid.Check(t, func(t *rapid.T) {
		tz := rapid.SampledFrom(zones).Draw(t, "tz")
		day := time.Weekday(rapid.IntRange(0, 6).Draw(t, "day"))
		from := rapid.IntRange(0, 1439).Draw(t, "from")
		until := rapid.IntRange(0, 1439).Filter(func(n int) bool { return n != from }).Draw(t, "until")
		w, err := calendar.ParseWeekly(tz, []string{fmt.Sprintf("%s %02d:%02d-%02d:%02d", day, from/60, from%60, until/60, until%60)})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(1_200_000_000, 2_000_000_000).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		if rapid.Bool().Draw(t, "near a change of the clock") {
			location, _ := time.LoadLocation(tz)
			if _, change := at.In(location).ZoneBounds(); !change.IsZero() {
				at = change.Add(time.Duration(rapid.Int64Range(-90_000, 90_000).Draw(t, "s")) * time.Second)
			}
		}
		windows := w.Windows(at.Add(-30*24*time.Hour), at.Add(30*24*time.Hour))
		checkWindows(t, windows)
		within := slices.IndexFunc(windows, func(one calendar.Window) bool { return one.Holds(at) })
		open, next := w.At(at)
		if open != (within >= 0) {
			t.Fatalf("%s at %s: open %v, windows\n%s", w, at, open, draw(windows))
		}
		if open && !next.Equal(windows[within].Until) {
			t.Fatalf("%s at %s: closes at %s, not %s", w, at, next, windows[within].Until)
		}
		if after := slices.IndexFunc(windows, func(one calendar.Window) bool { return one.From.After(at) }); !open && !next.Equal(windows[after].From) {
			t.Fatalf("%s at %s: opens at %s, not %s", w, at, next, windows[after].From)
		}
		location, _ := time.LoadLocation(tz)
		begin, end := at.Add(-48 * time.Hour).In(location).ZoneBounds()
		if quiet := begin.Before(at) && (end.IsZero() || end.After(at.Add(48*time.Hour))); quiet && open != naiveOpen(at.In(location), day, from, until) {
			t.Fatalf("%s at %s: open %v, and the clock says otherwise", w, at.In(location), open)
		}
	})
}

// checkWindows: no window is empty or inverted, they are sorted and apart.
func checkWindows(t interface{ Fatalf(string, ...any) }, windows []calendar.Window) {
	for i, one := range windows {
		if !one.From.Before(one.Until) || i > 0 && !windows[i-1].Until.Before(one.From) {
			t.Fatalf("window %d of\n%s", i, draw(windows))
		}
	}
}

func FuzzWeekly(f *testing.F) {
	f.Add("America/Chicago", "Mon-Fri 07:00-19:00", int64(1_793_000_000))
	f.Add("Australia/Lord_Howe", "Fri-Mon,Wed 22:00-06:00, 12:00-13:00", int64(1_790_000_000))
	f.Add("Etc/UTC", "daily 00:00-24:00", int64(0))
	f.Add("Local", "Sunday", int64(-1))
	f.Fuzz(func(t *testing.T, tz, text string, unix int64) {
		spans := strings.Split(text, ";")
		w, err := calendar.ParseWeekly(tz, spans)
		var badSpan *calendar.SpanError
		var badZone *calendar.ZoneError
		switch {
		case errors.As(err, &badSpan):
			if badSpan.Index >= len(spans) || badSpan.Offset > len(spans[badSpan.Index]) {
				t.Fatalf("an error outside of the text: %v", err)
			}
			return
		case err != nil:
			if !errors.As(err, &badZone) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if again, err := calendar.ParseWeekly(tz, w.Spans()); err != nil || !again.Equal(w) {
			t.Fatalf("%q is written as %q: %v", text, w, err)
		}
		at := time.Unix(unix%4_000_000_000, 0)
		windows := w.Windows(at.Add(-240*time.Hour), at.Add(240*time.Hour))
		checkWindows(t, windows)
		open, next := w.At(at)
		if open != slices.ContainsFunc(windows, func(one calendar.Window) bool { return one.Holds(at) }) || !next.IsZero() && !next.After(at) {
			t.Fatalf("%s at %s: %v %s", w, at, open, next)
		}
	})
}
