package calendar_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/calendar"
)

// ics makes a calendar of events, one content line each, an event's separated
// by "|"; UID and the frame are added.
func ics(events ...string) string {
	var b strings.Builder
	b.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n")
	for i, e := range events {
		if strings.HasPrefix(e, "=") { // as it stands
			b.WriteString(strings.ReplaceAll(e[1:], "|", "\r\n") + "\r\n")
			continue
		}
		if !strings.Contains(e, "UID:") {
			e = fmt.Sprintf("UID:%d|", i) + e
		}
		b.WriteString("BEGIN:VEVENT\r\n" + strings.ReplaceAll(e, "|", "\r\n") + "\r\nEND:VEVENT\r\n")
	}
	b.WriteString("END:VCALENDAR\r\n")
	return b.String()
}

const (
	ann = "|ATTENDEE:mailto:ann@h.example"
	bob = "|ATTENDEE:mailto:bob@h.example"
)

func mustRoster(t *testing.T, text string) (calendar.Roster, []calendar.Warning) {
	t.Helper()
	bytes := []byte(text)
	r, warnings, err := calendar.ParseRoster(bytes)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if string(bytes) != text {
		t.Fatalf("the caller's text is changed to\n%s", bytes)
	}
	return r, warnings
}

// onDuty writes who is on duty from when until when, by the first zone's clock.
func onDuty(r calendar.Roster, at time.Time) string {
	var all []string
	for _, d := range r.OnDuty(at) {
		name, _, _ := strings.Cut(d.Who, "@")
		all = append(all, fmt.Sprintf("%s %s-%s", name, d.From.In(at.Location()).Format("02T15:04"), d.Until.In(at.Location()).Format("02T15:04")))
	}
	return strings.Join(all, ", ")
}

const chicago = "TZID=America/Chicago:"

// outlook is a VTIMEZONE under a name of Windows, with its begin in 1601.
const outlook = "=BEGIN:VTIMEZONE|TZID:Central Standard Time|BEGIN:STANDARD|DTSTART:16010101T020000|TZOFFSETFROM:-0500|TZOFFSETTO:-0600|RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11|END:STANDARD|" +
	"BEGIN:DAYLIGHT|DTSTART:16010101T020000|TZOFFSETFROM:-0600|TZOFFSETTO:-0500|RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3|END:DAYLIGHT|END:VTIMEZONE"

// ward is a VTIMEZONE whose clock was changed in 2024 and 2025 alone.
const ward = "=BEGIN:VTIMEZONE|TZID:Ward|BEGIN:DAYLIGHT|DTSTART:20240401T020000|TZOFFSETFROM:+0200|TZOFFSETTO:+0300|RRULE:FREQ=YEARLY;UNTIL=20260331T235959Z|END:DAYLIGHT|" +
	"BEGIN:STANDARD|DTSTART:20241001T030000|TZOFFSETFROM:+0300|TZOFFSETTO:+0200|RDATE:20251001T030000|END:STANDARD|END:VTIMEZONE"

func TestOnDuty(t *testing.T) {
	day := "DTSTART;" + chicago + "20260601T070000|DTEND;" + chicago + "20260601T190000"
	nights := "UID:n|DTSTART;" + chicago + "20260601T190000|DTEND;" + chicago + "20260602T070000|RRULE:FREQ=DAILY"
	weekly := "UID:w|DTSTART;" + chicago + "20260601T070000|DTEND;" + chicago + "20260601T190000|RRULE:FREQ=WEEKLY;BYDAY=MO,TU" // Mondays and Tuesdays of June
	for _, c := range []struct {
		name, text string
		at, want   string // at several instants: "instant > who; ..."
	}{
		{"one turn", ics(day + ann), "2026-06-01T06:59:59-05:00", ""},
		{"one turn", ics(day + ann), "2026-06-01T07:00:00-05:00", "ann 01T07:00-01T19:00"},
		{"one turn", ics(day + ann), "2026-06-01T19:00:00-05:00", ""},
		{"two people", ics(day + bob + ann), "2026-06-01T12:00:00-05:00", "ann 01T07:00-01T19:00, bob 01T07:00-01T19:00"},
		{"in UTC, with DURATION", ics("DTSTART:20260601T120000Z|DURATION:PT12H30M" + ann), "2026-06-01T12:00:00-05:00", "ann 01T07:00-01T19:30"},
		{"folded, in small letters, with LF alone", "begin:vcalendar\nBegin:vevent\nuid:1\n\ndtstart:20260601T120000Z\nduration:PT\n\t12H\nattendee;cn=\"Ann: x;\",y;PART\n STAT=accepted:mailto:a\n nn@h\nend:vevent\nend:vcalendar",
			"2026-06-01T12:00:00-05:00", "ann 01T07:00-01T19:00"},
		{"with a byte order mark", "\xef\xbb\xbf" + ics(day+ann), "2026-06-01T12:00:00-05:00", "ann 01T07:00-01T19:00"},
		{"turns that touch are one duty", ics(day+ann, nights+ann), "2026-06-01T12:00:00-05:00", "ann 01T07:00-02T07:00"},
		{"turns that overlap are one duty", ics(day+ann, "DTSTART;"+chicago+"20260601T180000|DURATION:PT3H"+ann, day+bob), "2026-06-01T08:00:00-05:00", "ann 01T07:00-01T21:00, bob 01T07:00-01T19:00"},
		{"a duty without end ends where nobody looks further", ics("DTSTART;" + chicago + "20260101T000000|DURATION:P1D|RRULE:FREQ=DAILY" + ann), "2026-06-15T12:00:00-05:00", "ann 11T12:00-20T12:00"},
		{"a duty of years", ics("DTSTART;" + chicago + "20200101T000000|DTEND;" + chicago + "20300101T000000" + ann), "2026-06-15T12:00:00-05:00", "ann 11T12:00-20T12:00"},
		{"a week later", ics(weekly + ann), "2026-06-09T12:00:00-05:00", "ann 09T07:00-09T19:00"},
		{"not on a Wednesday", ics(weekly + ann), "2026-06-10T12:00:00-05:00", ""},
		{"not before the first", ics(weekly + ann), "2026-05-26T12:00:00-05:00", ""},
		{"years later", ics(weekly + ann), "2061-06-07T12:00:00-05:00", "ann 07T07:00-07T19:00"},
		{"in the last year", ics(weekly + ann), "2099-12-29T12:00:00-06:00", "ann 29T07:00-29T19:00"},
		{"after the last year", ics(weekly + ann), "2100-01-04T12:00:00-06:00", ""},
		{"COUNT", ics(weekly + ";COUNT=3" + ann), "2026-06-08T12:00:00-05:00", "ann 08T07:00-08T19:00"},
		{"after COUNT", ics(weekly + ";COUNT=3" + ann), "2026-06-09T12:00:00-05:00", ""},
		{"UNTIL the last turn's begin", ics(weekly + ";UNTIL=20260608T120000Z" + ann), "2026-06-08T12:00:00-05:00", "ann 08T07:00-08T19:00"},
		{"UNTIL before the last turn's begin", ics(weekly + ";UNTIL=20260608T115959Z" + ann), "2026-06-08T12:00:00-05:00", ""},
		{"UNTIL a day", ics(weekly + ";UNTIL=20260608" + ann), "2026-06-08T12:00:00-05:00", "ann 08T07:00-08T19:00"},
		{"after UNTIL a day", ics(weekly + ";UNTIL=20260608" + ann), "2026-06-09T12:00:00-05:00", ""},
		{"EXDATE", ics(weekly + "|EXDATE;" + chicago + "20260608T070000,20260609T070000" + ann), "2026-06-09T12:00:00-05:00", ""},
		{"EXDATE in UTC", ics(weekly + "|EXDATE:20260609T120000Z" + ann), "2026-06-09T12:00:00-05:00", ""},
		{"EXDATE of a day", ics(weekly + "|EXDATE;VALUE=DATE;" + chicago + "20260609" + ann), "2026-06-09T12:00:00-05:00", ""},
		{"RDATE", ics(weekly + "|RDATE;" + chicago + "20260610T080000" + ann), "2026-06-10T12:00:00-05:00", "ann 10T08:00-10T20:00"},
		{"RDATE alone", ics(day + "|RDATE:20260610T130000Z" + ann), "2026-06-01T12:00:00-05:00", "ann 01T07:00-01T19:00"},
		{"swapped: the new person", ics(weekly+ann, "UID:w|RECURRENCE-ID;"+chicago+"20260609T070000|DTSTART;"+chicago+"20260609T070000|DURATION:PT12H"+bob), "2026-06-09T12:00:00-05:00", "bob 09T07:00-09T19:00"},
		{"swapped, and moved", ics("UID:w|RECURRENCE-ID:20260609T120000Z|DTSTART;"+chicago+"20260610T070000|DURATION:PT12H"+bob, weekly+ann), "2026-06-09T12:00:00-05:00", ""},
		{"swapped, and moved", ics("UID:w|RECURRENCE-ID:20260609T120000Z|DTSTART;"+chicago+"20260610T070000|DURATION:PT12H"+bob, weekly+ann), "2026-06-10T12:00:00-05:00", "bob 10T07:00-10T19:00"},
		{"one turn cancelled", ics(weekly+ann, "UID:w|RECURRENCE-ID:20260609T120000Z|DTSTART:20260609T120000Z|DURATION:PT12H|STATUS:CANCELLED"+ann), "2026-06-09T12:00:00-05:00", ""},
		{"one turn tentative", ics(weekly+ann, "UID:w|RECURRENCE-ID:20260609T120000Z|DTSTART:20260609T120000Z|DURATION:PT12H|STATUS:TENTATIVE"+bob), "2026-06-09T12:00:00-05:00", ""},
		{"swapped to nobody", ics(weekly+ann, "UID:w|RECURRENCE-ID:20260609T120000Z|DTSTART:20260609T120000Z|DURATION:PT12H"), "2026-06-09T12:00:00-05:00", ""},
		{"swapped twice", ics(weekly+ann, "UID:w|SEQUENCE:2|RECURRENCE-ID:20260609T120000Z|DTSTART:20260609T120000Z|DURATION:PT12H|ATTENDEE:mailto:eve@h.example", "UID:w|SEQUENCE:1|RECURRENCE-ID:20260609T120000Z|DTSTART:20260609T120000Z|DURATION:PT12H"+bob), "2026-06-09T12:00:00-05:00", "eve 09T07:00-09T19:00"},
		{"a swap of what is not there", ics(weekly+ann, "UID:w|RECURRENCE-ID:20260610T120000Z|DTSTART:20260610T120000Z|DURATION:PT12H"+bob), "2026-06-10T12:00:00-05:00", ""},
		{"a changed turn whose series is elsewhere", ics("UID:w|RECURRENCE-ID:20260610T120000Z|DTSTART:20260610T120000Z|DURATION:PT12H" + bob), "2026-06-10T12:00:00-05:00", "bob 10T07:00-10T19:00"},
		{"cancelled", ics(day + "|STATUS:CANCELLED" + ann), "2026-06-01T12:00:00-05:00", ""},
		{"a cancelled series, with a swap", ics(weekly+"|STATUS:CANCELLED"+ann, "UID:w|RECURRENCE-ID:20260609T120000Z|DTSTART:20260609T120000Z|DURATION:PT12H"+bob), "2026-06-09T12:00:00-05:00", ""},
		{"a newer version", ics("UID:x|SEQUENCE:3|"+day+bob, "UID:x|SEQUENCE:2|"+day+ann), "2026-06-01T12:00:00-05:00", "bob 01T07:00-01T19:00"},
		{"the organizer is not on duty", ics(day + "|ORGANIZER:mailto:eve@h.example"), "2026-06-01T12:00:00-05:00", ""},
		{"declined, delegated, informed, a room", ics(day + "|ATTENDEE;PARTSTAT=DECLINED:mailto:a@h|ATTENDEE;PARTSTAT=delegated:mailto:b@h|ATTENDEE;ROLE=NON-PARTICIPANT:mailto:c@h|ATTENDEE;CUTYPE=ROOM:mailto:d@h" + bob), "2026-06-01T12:00:00-05:00", "bob 01T07:00-01T19:00"},
		{"an escaped login", ics(day + "|ATTENDEE:MAILTO:a%2Bb@h"), "2026-06-01T12:00:00-05:00", "a+b 01T07:00-01T19:00"},
		{"a day, in the calendar's zone", ics("=X-WR-TIMEZONE:America/Chicago", "DTSTART;VALUE=DATE:20260601"+ann), "2026-06-01T23:59:00-05:00", "ann 01T00:00-02T00:00"},
		{"days", ics("=X-WR-TIMEZONE:America/Chicago", "DTSTART;VALUE=DATE:20260601|DTEND;VALUE=DATE:20260604|RRULE:FREQ=WEEKLY"+ann), "2026-06-09T12:00:00-05:00", "ann 08T00:00-11T00:00"},
		{"a day, in the only VTIMEZONE", ics(outlook, "DTSTART;VALUE=DATE:20260601|DURATION:P2D"+ann), "2026-06-02T12:00:00-05:00", "ann 01T00:00-03T00:00"},
		{"a VTIMEZONE of Windows, summer", ics(outlook, "DTSTART;TZID=Central Standard Time:20260601T070000|DURATION:PT12H|RRULE:FREQ=DAILY"+ann), "2027-07-01T12:00:00-05:00", "ann 01T07:00-01T19:00"},
		{"a VTIMEZONE of Windows, winter", ics(outlook, "DTSTART;TZID=\"Central Standard Time\":20260601T070000|DURATION:PT12H|RRULE:FREQ=DAILY"+ann), "2027-01-01T12:00:00-06:00", "ann 01T07:00-01T19:00"},
		{"a VTIMEZONE that never changes", ics("=BEGIN:VTIMEZONE|TZID:Ward|BEGIN:STANDARD|DTSTART:16010101T000000|TZOFFSETFROM:+0530|TZOFFSETTO:+0530|END:STANDARD|END:VTIMEZONE", "DTSTART;TZID=Ward:20260601T070000|DURATION:PT12H"+ann), "2026-06-01T12:00:00+05:30", "ann 01T07:00-01T19:00"},
		{"a night when the clock is put forward", ics(nights + ann), "2027-03-14T01:00:00-06:00", "ann 13T19:00-14T06:00"}, // 07:00 of its summer time
		{"a night when the clock is put back", ics(nights + ann), "2026-11-01T01:00:00-05:00", "ann 31T19:00-01T08:00"},
		{"a turn's begin is missing", ics("DTSTART;" + chicago + "20260308T023000|DTEND;" + chicago + "20260308T031500" + ann), "2026-03-08T03:05:00-05:00", "ann 08T03:00-08T03:15"},
		{"a turn of elapsed time over the change", ics("DTSTART;" + chicago + "20260307T190000|DURATION:PT12H" + ann), "2026-03-08T07:30:00-05:00", "ann 07T20:00-08T08:00"},
		{"a handover in the hour that comes twice", ics("DTSTART;"+chicago+"20261101T000000|DTEND;"+chicago+"20261101T013000"+ann, "DTSTART;"+chicago+"20261101T013000|DTEND;"+chicago+"20261101T060000"+bob), "2026-11-01T01:30:00-05:00", "bob 01T01:30-01T07:00"},
		{"an RDATE in the second of two hours", ics("DTSTART;" + chicago + "20261018T013000|DTEND;" + chicago + "20261018T014500|RDATE:20261101T073000Z" + ann), "2026-11-01T01:30:00-06:00", "ann 01T01:30-01T01:45"},
		{"an RDATE of another zone's clock", ics(weekly + "|RDATE;TZID=Europe/Berlin:20260610T150000" + ann), "2026-06-10T12:00:00-05:00", "ann 10T08:00-10T20:00"},
		{"a swap of a turn that a gap moves to the next day", ics("UID:w|DTSTART;TZID=America/Nuuk:20250301T233000|DURATION:PT1H|RRULE:FREQ=DAILY"+ann, "UID:w|RECURRENCE-ID;TZID=America/Nuuk:20250329T233000|DTSTART;TZID=America/Nuuk:20250330T000000|DURATION:PT2H"+bob),
			"2025-03-30T00:30:00-01:00", "bob 30T00:00-30T02:00"},
		{"a VTIMEZONE before its first change", ics(ward, "DTSTART;TZID=Ward:20200701T070000|DURATION:PT12H"+ann), "2020-07-01T08:00:00+02:00", "ann 01T07:00-01T19:00"},
		{"a VTIMEZONE while it changes", ics(ward, "DTSTART;TZID=Ward:20250701T070000|DURATION:PT12H"+ann), "2025-07-01T08:00:00+03:00", "ann 01T07:00-01T19:00"},
		{"a VTIMEZONE after its last change", ics(ward, "DTSTART;TZID=Ward:20260701T070000|DURATION:PT12H"+ann), "2026-07-01T08:00:00+02:00", "ann 01T07:00-01T19:00"},
		{"begins here, ends there", ics("DTSTART;" + chicago + "20260601T070000|DTEND;TZID=Europe/Berlin:20260601T190000" + ann), "2026-06-01T11:00:00-05:00", "ann 01T07:00-01T12:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := mustRoster(t, c.text)
			if got := onDuty(r, instant(t, c.at)); got != c.want {
				t.Errorf("at %s: %q, want %q\n%s", c.at, got, c.want, c.text)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	turn := "DTSTART:20260601T120000Z|DURATION:PT12H"
	for _, c := range []struct {
		event, want string
	}{
		{turn, "line 4: the event puts nobody on duty"},
		{turn + "|ORGANIZER:mailto:a@h", "line 4: the event puts nobody on duty"},
		{turn + "|ATTENDEE;PARTSTAT=DECLINED:mailto:a@h", "line 4: the event puts nobody on duty"},
		{turn + ann + "|ATTENDEE:tel:+1234", `line 9: ATTENDEE "tel:+1234" names nobody`},
		{turn + ann + "|ATTENDEE:sip:a@h", "names nobody"},
		{turn + ann + "|ATTENDEE:mailto:a@h?subject=x", "names nobody"},
		{turn + ann + "|ATTENDEE:mailto:a@h,b@h", "names nobody"},
		{turn + ann + "|ATTENDEE:mailto:%ff%00@h", "names nobody"},
		{turn + ann + "|ATTENDEE:mailto:ward", "names nobody"},
		{turn + ann + "|ATTENDEE;CUTYPE=GROUP:mailto:icu@h", "name persons"},
		{turn + ann + "|ATTENDEE;PARTSTAT=X-MAYBE:mailto:a@h", `answer "X-MAYBE" is not understood`},
		{turn + ann + "|STATUS:TENTATIVE", "line 9: the turn is tentative"},
		{"DTSTART:20260601T120000Z" + ann, "takes no time"},
		{"DTSTART:20260601T120000Z|DTEND:20260601T120000Z" + ann, "takes no time"},
		{turn + ann + "|EXDATE:20260602T120000Z", "an EXDATE excludes no turn"},
		{turn + ann + "|STATUS:CANCELLED", ""},
		{"DTSTART:20260601T120000Z" + ann + "|STATUS:CANCELLED", ""},
		{turn + ann + "|ATTENDEE;PARTSTAT=DECLINED:mailto:a@h|ATTENDEE;PARTSTAT=DELEGATED;DELEGATED-TO=\"mailto:b@h\":mailto:a@h|ATTENDEE;CUTYPE=ROOM:mailto:a@h", ""},
	} {
		_, warnings := mustRoster(t, ics(c.event))
		var all []string
		for _, w := range warnings {
			all = append(all, w.String())
		}
		if got := strings.Join(all, "\n"); !strings.Contains(got, c.want) || c.want == "" && got != "" || len(warnings) > 1 {
			t.Errorf("%q: warnings %q, want %q", c.event, got, c.want)
		}
	}
}

func TestRosterErrors(t *testing.T) {
	start := "DTSTART:20260601T120000Z"
	turn := start + "|DURATION:PT12H"
	rule := func(text string) string { return ics(turn + "|RRULE:" + text) }
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"", 1, "does not begin with BEGIN:VCALENDAR"},
		{"<html>", 1, "no content line"},
		{"BEGIN:VEVENT\n", 1, "does not begin with BEGIN:VCALENDAR"},
		{strings.TrimSuffix(ics(turn), "END:VCALENDAR\r\n"), 8, "was cut short"},
		{ics(turn)[:60], 4, ""},
		{ics(turn) + ics(turn), 10, "follows END:VCALENDAR"},
		{ics("=BEGIN:VEVENT|UID:1|END:VALARM"), 6, "is open"},
		{ics("=" + strings.Repeat("BEGIN:X|", 9)), 8, "nested too deep"},
		{ics(turn + "|SUMMARY"), 8, "no content line"},
		{ics(turn + "| |  X"), 7, "DURATION"},
		{ics(turn + "|SUMMARY;X:y"), 8, "parameter that cannot be read"},
		{ics(turn + `|SUMMARY;X="y:z`), 8, "parameter that cannot be read"},
		{ics(turn + "|SUMMARY;X=1;X=2:z"), 8, "twice"},
		{ics(turn + "|SUMMARY:\x00"), 8, "control character"},
		{ics(turn + "|SUMMARY:\xff"), 8, "UTF-8"},
		{ics("=VERSION:1.0"), 4, "VERSION stands twice"},
		{strings.Replace(ics(turn), "VERSION:2.0", "VERSION:1.0", 1), 2, "VERSION"},
		{ics("=METHOD:CANCEL"), 4, "METHOD"},
		{ics("=CALSCALE:JULIAN"), 4, "CALSCALE"},
		{ics("=BEGIN:VEVENT|" + turn + "|END:VEVENT"), 4, "no UID"},
		{ics("DURATION:PT1H"), 4, "no DTSTART"},
		{ics(turn + "|" + start), 8, "DTSTART stands twice"},
		{ics(turn + "|SEQUENCE:-1"), 8, "SEQUENCE"},
		{ics("UID:a|"+turn, "UID:a|"+turn), 9, "same UID and SEQUENCE"},
		{ics("DTSTART:20260601T070000|DURATION:PT12H"), 6, "floating"},
		{ics("DTSTART:20260601"), 6, "no time"},
		{ics("DTSTART;VALUE=DATE:20260601"), 6, "nothing says in which time zone"},
		{ics("DTSTART;VALUE=DATE:20260601Z"), 6, "no time"},
		{ics("DTSTART:20260631T070000Z"), 6, "no time"},
		{ics("DTSTART:19691231T235959Z"), 6, "no time from 1970"},
		{ics("DTSTART:21000101T000000Z"), 6, "no time from 1970"},
		{ics("DTSTART;TZID=America/Chicago:20260601T070000Z"), 6, "names a time zone and is in UTC"},
		{ics("DTSTART;TZID=Mars:20260601T070000"), 6, `TZID "Mars"`},
		{ics("DTSTART;TZID=Local:20260601T070000"), 6, `TZID "Local"`},
		{ics("DTSTART;VALUE=PERIOD:20260601T070000Z/PT1H"), 6, "PERIOD"},
		{ics(turn + "|DTEND:20260601T130000Z"), 7, "both DTEND and DURATION"},
		{ics(start + "|DTEND:20260601T115959Z"), 7, "not after DTSTART"},
		{ics(start + "|DTEND;VALUE=DATE;TZID=Etc/UTC:20260602"), 7, "only one of them is a day"},
		{ics(start + "|DURATION:-PT1H"), 7, "DURATION"},
		{ics(start + "|DURATION:P"), 7, "DURATION"},
		{ics(start + "|DURATION:PT"), 7, "DURATION"},
		{ics(start + "|DURATION:P1H"), 7, "DURATION"},
		{ics(start + "|DURATION:PT1M1H"), 7, "DURATION"},
		{ics(start + "|DURATION:PT1H1"), 7, "DURATION"},
		{ics(start + "|DURATION:PT999999999H"), 7, "DURATION"},
		{ics(turn + "|STATUS:MAYBE"), 8, "STATUS"},
		{ics(turn + "|EXRULE:FREQ=DAILY"), 8, "EXRULE"},
		{ics(turn + "|RDATE;VALUE=PERIOD:20260601T070000Z/PT1H"), 8, "PERIOD"},
		{ics(turn + "|EXDATE:20260601T070000"), 8, "floating"},
		{ics(turn + "|RECURRENCE-ID;RANGE=THISANDFUTURE:20260601T120000Z"), 8, "RANGE"},
		{ics(turn + "|RECURRENCE-ID:20260601T120000Z|RRULE:FREQ=DAILY"), 4, "recurs itself"},
		{ics(start + "|DURATION:P32D|RRULE:FREQ=YEARLY"), 4, "longer than 31 days"},
		{ics(turn + "|RRULE:FREQ=DAILY|RRULE:FREQ=DAILY"), 9, "RRULE stands twice"},
		{rule("FREQ=HOURLY"), 8, "FREQ"},
		{rule("INTERVAL=2"), 8, "FREQ"},
		{rule("FREQ=DAILY;FREQ=DAILY"), 8, "cannot be read"},
		{rule("FREQ=DAILY;"), 8, "cannot be read"},
		{rule("FREQ=DAILY;INTERVAL=0"), 8, "INTERVAL"},
		{rule("FREQ=DAILY;INTERVAL=9223372036854775807"), 8, "INTERVAL"},
		{rule("FREQ=DAILY;COUNT=0"), 8, "COUNT"},
		{rule("FREQ=DAILY;COUNT=1000000000"), 8, "COUNT"},
		{rule("FREQ=DAILY;COUNT=2;UNTIL=20270101"), 8, "both COUNT and UNTIL"},
		{rule("FREQ=DAILY;UNTIL=20270101T000000"), 8, "UNTIL"},
		{rule("FREQ=DAILY;BYHOUR=7,19"), 8, `"BYHOUR" is not understood`},
		{rule("FREQ=YEARLY;BYWEEKNO=20"), 8, `"BYWEEKNO" is not understood`},
		{rule("FREQ=MONTHLY;BYDAY=53MO"), 8, "none that exists"},
		{rule("FREQ=YEARLY;BYMONTH=2;BYDAY=6MO"), 8, "none that exists"},
		{rule("FREQ=WEEKLY;BYDAY=1MO"), 8, "none that exists"},
		{rule("FREQ=WEEKLY;BYDAY=OT"), 8, "no day of the week"},
		{rule("FREQ=WEEKLY;BYDAY=,"), 8, "no day of the week"},
		{rule("FREQ=WEEKLY;WKST=1MO"), 8, "WKST"},
		{rule("FREQ=WEEKLY;BYMONTHDAY=1"), 8, "BYMONTHDAY"},
		{rule("FREQ=MONTHLY;BYMONTHDAY=32"), 8, "none that exists"},
		{rule("FREQ=MONTHLY;BYMONTHDAY=0"), 8, "none that exists"},
		{rule("FREQ=YEARLY;BYMONTH=-1"), 8, "none that exists"},
		{rule("FREQ=MONTHLY;BYSETPOS=1"), 8, "chooses from nothing"},
		{rule("FREQ=WEEKLY;BYDAY=TU"), 8, "DTSTART is no day of this RRULE"},
		{ics(turn + strings.Repeat(ann, 201)), 4, "ATTENDEEs"},
		{ics("=BEGIN:VTIMEZONE|END:VTIMEZONE"), 4, "no TZID"},
		{ics(outlook, outlook), 19, "no TZID of its own"},
		{ics("=BEGIN:VTIMEZONE|TZID:W|END:VTIMEZONE", "DTSTART;TZID=W:20260601T070000"), 4, "says nothing"},
		{ics(strings.Replace(outlook, "-0500", "-2400", 1), "DTSTART;TZID=Central Standard Time:20260601T070000"), 6, "cannot be read"},
		{ics(strings.Replace(outlook, "DTSTART:16010101T020000|", "", 1), "DTSTART;TZID=Central Standard Time:20260601T070000"), 6, "no DTSTART"},
		{ics(strings.Replace(outlook, "1SU;BYMONTH=11", "2SU;BYMONTH=3", 1), "DTSTART;TZID=Central Standard Time:20260601T070000"), 4, "twice within a day"},
		{ics(turn) + strings.Repeat(" ", 1<<20), 0, "bytes"},
	} {
		r, warnings, err := calendar.ParseRoster([]byte(c.text))
		var wrong *calendar.RosterError
		if !errors.As(err, &wrong) {
			t.Errorf("%.400q: error %v, want line %d: %s", c.text, err, c.line, c.want)
			continue
		}
		if wrong.Line != c.line || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 400 {
			t.Errorf("%.400q: %v, want line %d: %s", c.text, err, c.line, c.want)
		}
		if warnings != nil || len(r.OnDuty(instant(t, "2026-06-01T12:00:00Z"))) > 0 {
			t.Errorf("%.400q: a part of it is used", c.text)
		}
	}
}
