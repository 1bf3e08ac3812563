package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cordonmesh/cordon/acl/calendar"
)

// maxTimes is how often a schedule may open in a week: every half hour. Nodes are told
// each rule that keeps it once for each.
const maxTimes = 7 * 48

// schedules reads {"NAME": {"tz": "America/Chicago", "weekly": ["Mon-Fri 07:00-19:00"]}}.
func (r *reader) schedules(section member) map[string]Schedule {
	all := make(map[string]Schedule)
	for _, m := range r.named(section, "schedules") {
		sound := r.sound(m, checkWord(m.key))
		fields := r.keyed(m.value, "a schedule", scheduleKeys)
		s := Schedule{Name: m.key, Pos: r.pos(m.at)}
		if fields == nil && !m.value.isNull() { // it is no object, which is told
			all[m.key] = s
			continue
		}
		spans := r.list(fields, "weekly")
		tz, ok := r.word(fields, "tz")
		if !ok {
			r.lacks(fields, "tz", m.at, m.key, complain("has no time zone", `add "tz": "America/Chicago"`))
			tz = item{anyZone, m.at}
		}
		switch {
		case len(spans) == 0:
			r.lacks(fields, "weekly", m.at, m.key, complain("never holds", `add "weekly": ["Mon-Fri 07:00-19:00"]`))
			spans = []item{{anySpan, m.at}}
		case len(spans) > maxPorts:
			r.fail(m.at, m.key, complain("has too many spans of the week", "join those that touch"))
			spans = spans[:maxPorts]
		}
		s.Weekly = r.weekly(tz, spans)
		if n := s.Weekly.Times(); n > maxTimes {
			r.fail(m.at, m.key, judge(fmt.Sprintf("opens %d times a week, and the limit is %d", n, maxTimes), "join spans that lie close together"))
		}
		if sound {
			all[m.key] = s
		}
	}
	return all
}

// anyZone is a zone that there is, and anySpan a span that can be read.
const anyZone, anySpan = "UTC", "daily"

// weekly reads the spans of a schedule, and complains of the zone and at each span that
// is wrong.
func (r *reader) weekly(tz item, spans []item) calendar.Weekly {
	w, err := calendar.ParseWeekly(tz.text, texts(spans))
	if err == nil {
		return w
	}
	var zone *calendar.ZoneError
	if errors.As(err, &zone) {
		bad := complain(zone.Reason, zone.Fix)
		bad.guess = func() string { return didYouMean(nearestZone(tz.text)) }
		r.failAt(tz.at, "tz", tz.text, bad)
	}
	for _, it := range spans {
		var span *calendar.SpanError
		if _, err := calendar.ParseWeekly(anyZone, []string{it.text}); errors.As(err, &span) {
			r.failAt(it.at, "weekly", it.text, complain(reasonOf(span), span.Fix))
		}
	}
	return w
}

// nearestZone gives the name of the zone that a text is likely meant for: the city's
// alone will do.
func nearestZone(text string) string {
	zones := calendar.Zones()
	if strings.Contains(text, "/") {
		return Nearest(text, zones)
	}
	city := "/" + strings.ToLower(strings.ReplaceAll(text, " ", "_"))
	var found []string
	for _, zone := range zones {
		if strings.HasSuffix(strings.ToLower(zone), city) {
			found = append(found, zone)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// reasonOf says what is wrong with a span, and with what of it.
func reasonOf(e *calendar.SpanError) string {
	part, _, _ := strings.Cut(e.Span[min(e.Offset, len(e.Span)):], " ")
	if part == "" || !strings.HasPrefix(e.Reason, "is ") {
		return e.Reason
	}
	return fmt.Sprintf("%q %s", shorten(part), e.Reason)
}

// rosters reads {"NAME": {"ics": "oncall/icu.ics"}}. The file lies beside the
// policy: who may write a policy must not read other files of the coordinator.
func (r *reader) rosters(section member) map[string]OnCall {
	all := make(map[string]OnCall)
	for _, m := range r.named(section, "oncall") {
		sound := r.sound(m, checkWord(m.key))
		fields := r.keyed(m.value, "a roster", onCallKeys)
		it, ok := r.word(fields, "ics")
		switch {
		case !ok:
			r.lacks(fields, "ics", m.at, m.key, complain("has no roster", `add "ics": "oncall/icu.ics"`))
		case !fs.ValidPath(it.text) || it.text == "." || strings.ContainsAny(it.text, `\:`) || strings.ContainsFunc(it.text, func(c rune) bool { return c < ' ' }):
			r.failAt(it.at, "ics", it.text, complain("is no path below the policy's folder", `write it with slashes, without ".." and not from the root, as oncall/icu.ics`))
		}
		if sound {
			all[m.key] = OnCall{Name: m.key, Pos: r.pos(m.at), File: it.text}
		}
	}
	return all
}
