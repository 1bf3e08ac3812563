package policy

import (
	"io/fs"
	"strings"
	"time"
	_ "time/tzdata" // a coordinator in a bare container, or on Windows, has no zones of its own
)

// schedules reads {"NAME": {"tz": "America/Chicago", "weekly": ["Mon-Fri 07:00-19:00"]}}.
func (r *reader) schedules(section member) map[string]Schedule {
	all := make(map[string]Schedule)
	for _, m := range r.named(section, "schedules") {
		if bad := checkWord(m.key); bad != nil {
			r.fail(m.at, m.key, bad)
			continue
		}
		fields := r.keyed(m.value, "a schedule", scheduleKeys)
		s := Schedule{Name: m.key, Pos: r.pos(m.at), Weekly: texts(r.list(fields, "weekly"))}
		tz, ok := r.word(fields, "tz")
		switch {
		case !ok:
			r.fail(m.at, m.key, complain("has no time zone", `add "tz": "America/Chicago"`))
		case len(s.Weekly) == 0:
			r.fail(m.at, m.key, complain("never holds", `add "weekly": ["Mon-Fri 07:00-19:00"]`))
		default:
			if bad := weekly(tz.text, s.Weekly); bad != nil {
				r.failAt(tz.at, "tz", tz.text, bad)
				break
			}
			s.Zone, _ = time.LoadLocation(tz.text)
		}
		all[m.key] = s
	}
	return all
}

// weekly checks a schedule's time zone and its spans.
func weekly(tz string, spans []string) *complaint {
	if tz == "Local" {
		return complain("is another zone on each machine", "write a name of the time zone database, as America/Chicago or UTC")
	}
	if _, err := time.LoadLocation(tz); tz == "" || err != nil {
		return complain("is no time zone", "write a name of the time zone database, as America/Chicago or UTC")
	}
	if len(spans) > maxPorts {
		return complain("has too many spans of the week", "join those that touch")
	}
	return nil
}

// rosters reads {"NAME": {"ics": "oncall/icu.ics"}}. The file lies beside the
// policy: who may write a policy must not read other files of the coordinator.
func (r *reader) rosters(section member) map[string]OnCall {
	all := make(map[string]OnCall)
	for _, m := range r.named(section, "oncall") {
		if bad := checkWord(m.key); bad != nil {
			r.fail(m.at, m.key, bad)
			continue
		}
		fields := r.keyed(m.value, "a roster", onCallKeys)
		it, ok := r.word(fields, "ics")
		switch {
		case !ok:
			r.fail(m.at, m.key, complain("has no roster", `add "ics": "oncall/icu.ics"`))
		case !fs.ValidPath(it.text) || it.text == "." || strings.ContainsAny(it.text, `\:`) || strings.ContainsFunc(it.text, func(c rune) bool { return c < ' ' }):
			r.failAt(it.at, "ics", it.text, complain("is no path below the policy's folder", `write it with slashes, without ".." and not from the root, as oncall/icu.ics`))
		}
		all[m.key] = OnCall{Name: m.key, Pos: r.pos(m.at), File: it.text}
	}
	return all
}
