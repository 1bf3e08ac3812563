package calendar_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/calendar"
)

// many makes a file of the same event, many times.
func many(event string) string {
	all := make([]string, 200)
	for n := range all {
		all[n] = event
	}
	return ics(all...)
}

// TestHostileFilesCostLittle reads the worst that a megabyte can hold. Without a
// bound each of these takes minutes, or all of the machine's memory.
func TestHostileFilesCostLittle(t *testing.T) {
	turn := "DTSTART:19700101T000000Z|DURATION:P31D" + ann
	var dates []string
	for d := time.Unix(0, 0).UTC(); len(dates) < 20_000; d = d.AddDate(0, 0, 1) {
		dates = append(dates, d.Format("20060102T150405Z"))
	}
	some := func(n int) string { return strings.Join(dates[:n], ",") }
	for _, c := range []struct{ name, text, want string }{
		{"rules that come true once in 400 years", many("DTSTART:20000229T000000Z|DURATION:P31D|RRULE:FREQ=YEARLY;INTERVAL=400" + ann), ""},
		{"daily turns of a month, of two people", many(turn + bob + "|RRULE:FREQ=DAILY"), ""},
		{"COUNT of what comes never again", many("DTSTART:20000229T000000Z|RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYSETPOS=1;COUNT=100000"), "recurs too often"},
		{"every second", ics(turn + "|RRULE:FREQ=SECONDLY;COUNT=1000000000"), "FREQ"},
		{"EXDATE of a daily turn", ics(turn + "|RRULE:FREQ=DAILY|EXDATE:" + some(20_000)), ""},
		{"EXDATE of a yearly turn", ics(turn + "|RRULE:FREQ=YEARLY;BYDAY=TH|EXDATE:" + some(10_000)), "recurs too often"},
		{"EXDATE of days and as many RDATE", ics(turn + "|RDATE:" + some(20_000) + "|EXDATE;TZID=Etc/UTC;VALUE=DATE:19700101" + strings.Repeat(",19700101", 20_000)), ""},
		{"a list of BYMONTHDAY", ics(turn + "|RRULE:FREQ=MONTHLY;BYMONTHDAY=1" + strings.Repeat(",1", 100_000)), "twice"},
		{"a list of BYDAY", ics(turn + "|RRULE:FREQ=MONTHLY;BYDAY=TH" + strings.Repeat(",TH", 100_000)), "twice"},
		{"folds", ics(turn + "|SUMMARY:" + strings.Repeat("x", 200_000) + strings.Repeat("| ", 200_000)), ""},
		{"depth", "BEGIN:VCALENDAR\n" + strings.Repeat("BEGIN:A\n", 100_000), "too deep"},
		{"parameters", ics(turn + "|SUMMARY" + parameters(100_000) + ":"), "too many"},
		{"changes of the clock", ics(zoneOf(repeated("BEGIN:STANDARD|DTSTART:19700101T000000|TZOFFSETFROM:+0000|TZOFFSETTO:+0100|RRULE:FREQ=DAILY|END:STANDARD", 500)), "DTSTART;TZID=W:20260601T070000"), "too often"},
		{"events", "BEGIN:VCALENDAR\n" + strings.Repeat("BEGIN:VEVENT\nUID:a\nDTSTART:20260601T070000Z\nEND:VEVENT\n", calendar.MostEvents+1) + "END:VCALENDAR", "more than 10000 events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.text) > calendar.MostText {
				t.Fatalf("the test's text has %d bytes", len(c.text))
			}
			r, _, err := calendar.ParseRoster([]byte(c.text))
			var wrong *calendar.RosterError
			if c.want != "" && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want)) || c.want == "" && err != nil {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			r.OnDuty(instant(t, "2026-06-01T12:00:00Z"))
			r.Next(instant(t, "2026-06-01T12:00:00Z"))
		})
	}
}

func zoneOf(parts string) string { return "=BEGIN:VTIMEZONE|TZID:W|" + parts + "END:VTIMEZONE" }

func repeated(text string, n int) string { return strings.Repeat(text+"|", n) }

func parameters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ";X%d=", i)
	}
	return b.String()
}
