package calendar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teambition/rrule-go"
	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl/calendar"
)

// drawRule draws an RRULE of those that rosters may hold, and that the library
// reads in the same way: it counts BYSETPOS of a week from DTSTART, not from the
// week's begin, and its BYDAY of a year with months goes beyond the month.
func drawRule(t *rapid.T) string {
	frequency := rapid.SampledFrom([]string{"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}).Draw(t, "FREQ")
	parts := []string{"FREQ=" + frequency, fmt.Sprintf("INTERVAL=%d", rapid.IntRange(1, 5).Draw(t, "INTERVAL"))}
	list := func(name string, from, to int) {
		if rapid.IntRange(0, 2).Draw(t, "with "+name) > 0 {
			return
		}
		var all []string
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(from, to).Filter(func(n int) bool { return n != 0 }), 1, 4, rapid.ID).Draw(t, name) {
			all = append(all, fmt.Sprint(n))
		}
		parts = append(parts, name+"="+strings.Join(all, ","))
	}
	list("BYMONTH", 1, 12)
	months := strings.Contains(strings.Join(parts, ";"), "BYMONTH")
	if frequency != "WEEKLY" {
		list("BYMONTHDAY", -31, 31)
	}
	if rapid.Bool().Draw(t, "with BYDAY") {
		most := map[string]int{"MONTHLY": 5, "YEARLY": 53}[frequency]
		if months {
			most = min(most, 5)
		}
		var all []string
		for _, d := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}), 1, 3, rapid.ID).Draw(t, "BYDAY") {
			if n := rapid.IntRange(-most, most).Draw(t, "nth"); n != 0 {
				d = fmt.Sprint(n, d)
			}
			all = append(all, d)
		}
		// The library takes a rule of both kinds for one of neither.
		if nth := strings.ContainsAny(all[0], "123456789"); !slices.ContainsFunc(all, func(d string) bool { return strings.ContainsAny(d, "123456789") != nth }) {
			parts = append(parts, "BYDAY="+strings.Join(all, ","))
		}
	}
	if yearly := frequency == "YEARLY" || frequency == "MONTHLY"; yearly && strings.Contains(strings.Join(parts, ";"), "BY") {
		list("BYSETPOS", -4, 4)
	}
	parts = append(parts, "WKST="+rapid.SampledFrom([]string{"MO", "WE", "SU"}).Draw(t, "WKST"))
	switch rapid.IntRange(0, 2).Draw(t, "ends") {
	case 0:
		parts = append(parts, fmt.Sprintf("COUNT=%d", rapid.IntRange(1, 60).Draw(t, "COUNT")))
	case 1:
		parts = append(parts, time.Unix(rapid.Int64Range(1_700_000_000, 1_800_000_000).Draw(t, "UNTIL"), 0).UTC().Format("UNTIL=20060102T150405Z"))
	}
	return strings.Join(parts, ";")
}

// cycles is a whole number of the calendar's cycles of 400 years. The library
// walks to the year 9999 where a rule does not come true: from there it is near.
const cycles = 19 * 400

// TestRulesAgreeWithTheLibrary compares the days of random rules with those that
// another reading of RFC 5545 gives.
func TestRulesAgreeWithTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawRule(t)
		option, err := rrule.StrToROption(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		option.Dtstart = time.Unix(rapid.Int64Range(1_650_000_000, 1_750_000_000).Draw(t, "begin"), 0).UTC().AddDate(cycles, 0, 0)
		if !option.Until.IsZero() {
			option.Until = option.Until.AddDate(cycles, 0, 0)
		}
		theirs, err := rrule.NewRRule(*option)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		// A series begins where its rule comes true, or it is refused.
		var ok bool
		if option.Dtstart, ok = theirs.Iterator()(); !ok || option.Dtstart.Year() > cycles+2050 {
			return
		}
		if theirs, err = rrule.NewRRule(*option); err != nil {
			t.Fatal(err)
		}
		start := option.Dtstart.AddDate(-cycles, 0, 0)
		roster, _, err := calendar.ParseRoster([]byte(ics(start.Format("DTSTART:20060102T150405Z") + "|DURATION:PT1S|RRULE:" + text + ann)))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		at := start.AddDate(0, 0, rapid.IntRange(0, 1500).Draw(t, "days"))
		want := theirs.Between(at.AddDate(cycles, 0, 0), at.Add(calendar.Look).AddDate(cycles, 0, 0), true)
		for i := range want {
			want[i] = want[i].AddDate(-cycles, 0, 0)
		}
		if got := begins(roster, at); !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Fatalf("%s from %s, after %s:\n%v, the library says\n%v", text, start, at, got, want)
		}
	})
}

// begins gives when turns of a second begin, from an instant on, as far as a
// roster looks.
func begins(r calendar.Roster, at time.Time) []time.Time {
	var all []time.Time
	limit := at.Add(calendar.Look)
	for ok := true; ok && !at.After(limit); at, ok = r.Next(at) {
		if len(r.OnDuty(at)) > 0 {
			all = append(all, at)
		}
	}
	return all
}
