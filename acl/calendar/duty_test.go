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

func TestNext(t *testing.T) {
	turn := func(from, until string) string { return "DTSTART:" + from + "|DTEND:" + until }
	day, night := turn("20260601T070000Z", "20260601T190000Z"), turn("20260601T190000Z", "20260602T070000Z")
	for _, c := range []struct{ name, text, at, want string }{
		{"nobody, ever", ics(), "2026-06-01T00:00:00Z", ""},
		{"comes on duty", ics(day + ann), "2026-06-01T06:59:59.5Z", "2026-06-01T07:00:00Z"},
		{"goes off", ics(day + ann), "2026-06-01T07:00:00Z", "2026-06-01T19:00:00Z"},
		{"is over", ics(day + ann), "2026-06-01T19:00:00Z", ""},
		{"a handover", ics(day+ann, night+bob), "2026-06-01T12:00:00Z", "2026-06-01T19:00:00Z"},
		{"one who stays is no change", ics(day+ann, night+ann), "2026-06-01T12:00:00Z", "2026-06-02T07:00:00Z"},
		{"is further away than anybody looks", ics(day + ann), "2026-04-27T06:59:59Z", ""},
		{"is as far as one looks", ics(day + ann), "2026-04-27T07:00:00Z", "2026-06-01T07:00:00Z"},
		{"never goes off", ics("DTSTART:20260101T000000Z|DURATION:P1D|RRULE:FREQ=DAILY" + ann), "2026-06-01T00:00:00Z", ""},
	} {
		r, _ := mustRoster(t, c.text)
		next, ok := r.Next(instant(t, c.at))
		if got := next.Format(time.RFC3339Nano); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %s %v, want %q", c.name, got, ok, c.want)
		}
	}
	if next, ok := (calendar.Roster{}).Next(time.Now()); ok || len(calendar.Roster{}.OnDuty(time.Now())) > 0 {
		t.Errorf("the zero value changes at %s", next)
	}
}

// TestDutiesAreTheTurns compares random turns, written as an event each or as a
// series with a swap, with the turns themselves.
func TestDutiesAreTheTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type turn struct{ from, until int64 }
		base := rapid.Int64Range(1_700_000_000, 1_800_000_000).Draw(t, "base")
		truth := map[string][]turn{}
		var events []string
		for range rapid.IntRange(0, 8).Draw(t, "turns") {
			one := turn{from: base + rapid.Int64Range(-20, 20).Draw(t, "from")*3600}
			one.until = one.from + rapid.Int64Range(1, 10).Draw(t, "hours")*3600
			who := rapid.SampledFrom([]string{"ann@h", "bob@h", "eve@h"}).Draw(t, "who")
			truth[who] = append(truth[who], one)
			text := func(at int64) string { return time.Unix(at, 0).UTC().Format("20060102T150405Z") }
			e := fmt.Sprintf("DTSTART:%s|DTEND:%s|ATTENDEE:mailto:%s", text(one.from), text(one.until), who)
			if rapid.Bool().Draw(t, "as a swap") {
				uid := fmt.Sprintf("UID:swap%d|", len(events))
				events = append(events, fmt.Sprintf("%sDTSTART:%s|DURATION:PT1H|RRULE:FREQ=DAILY;COUNT=1|ATTENDEE:mailto:gone@h", uid, text(one.from)))
				e = uid + "RECURRENCE-ID:" + text(one.from) + "|" + e
			}
			events = append(events, e)
		}
		r, _, err := calendar.ParseRoster([]byte(ics(events...)))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(base+rapid.Int64Range(-120_000, 120_000).Draw(t, "at"), 0)
		on := func(who string, at int64) bool {
			return slices.ContainsFunc(truth[who], func(o turn) bool { return o.from <= at && at < o.until })
		}
		var got []string
		for _, d := range r.OnDuty(at) {
			got = append(got, d.Who)
			for s := d.From.Unix(); s < d.Until.Unix(); s += 900 {
				if !on(d.Who, s) {
					t.Fatalf("%v is off duty at %s", d, time.Unix(s, 0).UTC())
				}
			}
			if on(d.Who, d.From.Unix()-1) || on(d.Who, d.Until.Unix()) {
				t.Fatalf("%v is longer than that", d)
			}
		}
		var want []string
		for _, who := range []string{"ann@h", "bob@h", "eve@h"} {
			if on(who, at.Unix()) {
				want = append(want, who)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("on duty at %s are %v, want %v", at.UTC(), got, want)
		}
		if next, ok := r.Next(at); ok && strings.Join(names(r, next), " ") == strings.Join(got, " ") {
			t.Fatalf("nothing changes at %s", next)
		}
	})
}

func names(r calendar.Roster, at time.Time) []string {
	var all []string
	for _, d := range r.OnDuty(at) {
		all = append(all, d.Who)
	}
	return all
}

func FuzzRoster(f *testing.F) {
	f.Add([]byte(ics(outlook, "UID:w|DTSTART;TZID=Central Standard Time:20260601T190000|DTEND;TZID=Central Standard Time:20260602T070000|RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU,WE;WKST=SU;UNTIL=20270101|EXDATE:20260603T000000Z"+ann,
		"UID:w|SEQUENCE:1|RECURRENCE-ID;TZID=Central Standard Time:20260601T190000|DTSTART:20260602T000000Z|DURATION:P1DT2H3M4S|ATTENDEE;CN=\"Bob, B.\";PARTSTAT=ACCEPTED:mailto:bob@h.example")), int64(1_780_400_000))
	f.Add([]byte(ics("=X-WR-TIMEZONE:Europe/Berlin", "DTSTART;VALUE=DATE:20260328|DTEND;VALUE=DATE:20260331|RRULE:FREQ=MONTHLY;BYDAY=-1SU,1MO;BYSETPOS=-1;COUNT=9"+ann, "DTSTART:20260328T010000Z|RDATE;VALUE=DATE-TIME;TZID=Asia/Beirut:20260329T003000|DURATION:PT1M|STATUS:TENTATIVE"+bob)), int64(1_774_700_000))
	f.Add([]byte(ics("DTSTART;TZID=America/Chicago:20240229T023000|DURATION:P1W|RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1|EXDATE;VALUE=DATE;TZID=America/Chicago:20250228"+ann)), int64(1_772_300_000))
	f.Fuzz(func(t *testing.T, text []byte, unix int64) {
		r, warnings, err := calendar.ParseRoster(text)
		lines := strings.Count(string(text), "\n") + 1
		at := time.Unix(unix%5_000_000_000, 0)
		var wrong *calendar.RosterError
		if err != nil && (!errors.As(err, &wrong) || wrong.Line > lines || warnings != nil || len(r.OnDuty(at)) > 0) {
			t.Fatalf("an error outside of %d lines, or with a part of the roster: %v", lines, err)
		}
		for _, w := range warnings {
			if w.Line < 1 || w.Line > lines {
				t.Fatalf("a warning outside of %d lines: %s", lines, w)
			}
		}
		now := r.OnDuty(at)
		for i, d := range now {
			if !d.Holds(at) || d.Until.After(at.Add(calendar.Look)) || i > 0 && now[i-1].Who >= d.Who || !strings.Contains(string(text), "@") && !strings.Contains(string(text), "%40") {
				t.Fatalf("at %s: %v", at, now)
			}
		}
		next, ok := r.Next(at)
		if !ok {
			next = at.Add(calendar.Look)
		} else if !next.After(at) || strings.Join(names(r, next), " ") == strings.Join(names(r, at), " ") {
			t.Fatalf("nothing changes at %s", next)
		}
		if between := at.Add(next.Sub(at) / 2); strings.Join(names(r, between), " ") != strings.Join(names(r, at), " ") {
			t.Fatalf("somebody comes or goes before %s, at %s", next, between)
		}
	})
}
