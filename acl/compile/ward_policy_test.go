package compile_test

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ward is a hospital's policy as data with a directory, what is known of its
// nodes, what is declared and the time: what the compiler is checked against,
// judged straight from its words.
type ward struct {
	groups   map[string][]string
	segments []wardSegment // by name
	glasses  []wardRule
	lifts    []wardLift
	grants   []wardRule
	forbids  []wardRule // without a level, then by level
	site     *wardSite

	forgiven bool // it is read as one in force: nothing is refused for asking too little
}

type wardSegment struct {
	name     string
	members  []string
	requires wardWhen
	monitor  time.Time // zero: it is enforced
	offline  time.Duration
}

type wardRule struct {
	id               string
	src, devices     []string
	dst, ports       []string
	when             wardWhen
	postures, waives []string
	glass, approved  bool
	monitor          time.Time
	level            string
	drain            time.Duration
}

type wardLift struct {
	id               string
	segments, waives []string
}

// wardWhen is conditions; what is empty asks for nothing.
type wardWhen struct {
	within           time.Duration
	amr, posture     []string
	schedule, oncall string
	risk             int
	session          string
	idle             time.Duration
}

// wardStart is when wards' policies are read: a Monday.
func wardStart() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// text writes the ward as a policy file.
func (w *ward) text() string {
	var b strings.Builder
	b.WriteString(`{"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []},
"postures": {"posture:managed": ["custom:mdm == true", "node:os != 'xp'"], "posture:sick": ["custom:sick == true"], "posture:bare": ["custom:mdm NOT SET"]},
"schedules": {"office": {"tz": "America/Chicago", "weekly": ["Mon-Fri 07:00-19:00"]}, "weekend": {"tz": "UTC", "weekly": ["Sat-Sun 00:00-24:00"]}},
"oncall": {"icu": {"ics": "icu.ics"}}, "approvals": {"approve:two": {"by": ["group:x"], "count": 2, "maxDuration": "4h"}},
"groups": {`)
	for _, name := range sortedKeys(w.groups) {
		fmt.Fprintf(&b, "%q: [%s], ", name, quoted(w.groups[name]))
	}
	b.WriteString("},\n\"segments\": {")
	for _, s := range w.segments {
		fmt.Fprintf(&b, "\n%q: {\"members\": [%s], \"owner\": \"group:x\"%s", s.name, quoted(s.members), s.requires.text("requires"))
		if !s.monitor.IsZero() {
			fmt.Fprintf(&b, `, "mode": "monitor", "until": %q`, s.monitor.Format(time.RFC3339))
		}
		if s.offline > 0 {
			fmt.Fprintf(&b, `, "offline": {"hold": %q}`, s.offline)
		}
		b.WriteString("},")
	}
	b.WriteString("},\n\"breakGlass\": [")
	for _, r := range w.glasses {
		fmt.Fprintf(&b, "\n{%s%s, \"waives\": [%s], \"maxDuration\": \"1h\", \"alert\": [\"group:x\"]},", r.words(), r.seated(), quoted(r.waives))
	}
	for _, l := range w.lifts {
		fmt.Fprintf(&b, "\n{\"id\": %q, \"segments\": [%s], \"waives\": [%s], \"declare\": {\"by\": \"group:x\", \"count\": 1}, \"maxDuration\": \"72h\", \"alert\": [\"group:x\"]},", l.id, quoted(l.segments), quoted(l.waives))
	}
	b.WriteString("],\n\"grants\": [")
	b.WriteString(`{"id": "all", "src": ["tag:a", "tag:b", "tag:c"], "dst": ["203.0.113.9"], "ip": ["tcp:9"]},`) // a tag in no rule cannot be told apart
	for _, r := range w.grants {
		fmt.Fprintf(&b, "\n{%s%s},", r.words(), r.narrowed())
	}
	b.WriteString("],\n\"forbid\": [")
	for _, r := range w.forbids {
		if r.level == "" {
			fmt.Fprintf(&b, "\n{%s%s},", r.words(), r.narrowed())
		}
	}
	b.WriteString("],\n\"lockdown\": {")
	for _, level := range wardLevels() {
		var all []string
		for _, r := range w.forbids {
			if r.level == level {
				all = append(all, "{"+r.words()+r.narrowed()+"}")
			}
		}
		if len(all) > 0 {
			fmt.Fprintf(&b, "\n%q: {\"by\": [\"group:x\"], \"forbid\": [%s]},", level, strings.Join(all, ", "))
		}
	}
	b.WriteString("}}\n")
	return b.String()
}

func (r *wardRule) words() string {
	return fmt.Sprintf(`"id": %q, "src": [%s], "dst": [%s], "ip": [%s]`, r.id, quoted(r.src), quoted(r.dst), quoted(r.ports))
}

func (r *wardRule) narrowed() string {
	text := r.when.text("when")
	if len(r.postures) > 0 {
		text += fmt.Sprintf(`, "srcPosture": [%s]`, quoted(r.postures))
	}
	text += r.seated()
	if r.approved {
		text += `, "approval": "approve:two"`
	}
	if r.drain > 0 {
		text += fmt.Sprintf(`, "onExpiry": "drain %s"`, r.drain)
	}
	if !r.monitor.IsZero() {
		text += fmt.Sprintf(`, "monitor": true, "until": %q`, r.monitor.Format(time.RFC3339))
	}
	return text
}

func (r *wardRule) seated() string {
	if len(r.devices) == 0 {
		return ""
	}
	return fmt.Sprintf(`, "srcDevice": [%s]`, quoted(r.devices))
}

func (c *wardWhen) text(key string) string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	switch {
	case c.within > 0 && len(c.amr) > 0:
		add(`"mfa": {"within": %q, "amr": [%s]}`, c.within, quoted(c.amr))
	case c.within > 0:
		add(`"mfa": {"within": %q}`, c.within)
	}
	if len(c.posture) > 0 {
		add(`"posture": [%s]`, quoted(c.posture))
	}
	if c.schedule != "" {
		add(`"schedule": %q`, c.schedule)
	}
	if c.oncall != "" {
		add(`"oncall": %q`, c.oncall)
	}
	if c.risk > 0 {
		add(`"risk": "<%d"`, c.risk)
	}
	if c.session != "" {
		add(`"session": %q`, c.session)
	}
	if c.idle > 0 {
		add(`"idle": %q`, c.idle)
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(", %q: {%s}", key, strings.Join(all, ", "))
}

func wardLevels() []string { return []string{"amber", "red"} }

// segmentsOf gives the segments that hold an address: with a machine all that it has.
func (w *ward) segmentsOf(at wardPlace) []wardSegment {
	return slices.DeleteFunc(slices.Clone(w.segments), func(s wardSegment) bool {
		return !slices.ContainsFunc(s.members, func(member string) bool { return w.concerns(member, at, false) })
	})
}
