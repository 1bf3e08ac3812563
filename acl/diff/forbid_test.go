package diff_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/diff"
)

// What is forbidden is a loss, for good or under its conditions; a condition that
// comes is a loss of all the rest, and so is another schedule.
func TestForbiddenAndConditionalReach(t *testing.T) {
	const grant, end = `{` + definitions + `"schedules": {"day": {"tz": "UTC", "weekly": ["daily 08:00-20:00"]}, "night": {"tz": "UTC", "weekly": ["daily 20:00-08:00"]}},
 "grants": [{"id": "read", "src": ["group:radiology"], "dst": ["tag:pacs"], "ip": ["tcp:443", "tcp:104"]`, `]}`
	for _, c := range []struct{ name, was, is, want string }{
		{"nothing", `}]`, `}], "forbid": []`, ""},
		{"a forbid", `}]`, `}], "forbid": [{"src": ["group:radiology"], "dst": ["tag:pacs"], "ip": ["tcp:104"]}]`,
			"- 3 people in group:radiology lose tcp/104 at archive (tag:pacs)\n"},
		{"a forbid that goes", `}], "forbid": [{"src": ["*"], "dst": ["tag:pacs"]}]`, `}]`,
			"+ 3 people in group:radiology gain tcp/104 and tcp/443 at archive (tag:pacs)\n"},
		{"a forbid of what is not open", `}]`, `}], "forbid": [{"src": ["group:it"], "dst": ["tag:pacs"]}]`, ""},
		{"a conditional forbid", `}]`, `}], "forbid": [{"src": ["*"], "dst": ["tag:pacs"], "when": {"posture": ["posture:managed"]}}]`,
			"- 3 people in group:radiology lose tcp/104 and tcp/443 with posture:managed at archive (tag:pacs)\n"},
		{"a schedule that is edited", `, "when": {"schedule": "day"}}]`, `, "when": {"schedule": "night"}}]`, "…"},
		{"a schedule under another name", `, "when": {"schedule": "day"}}], "oncall": {}`, `, "when": {"schedule": "day"}}]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			was, is := mesh(parse(t, grant+c.was+end[1:]), clinic()), mesh(parse(t, grant+c.is+end[1:]), clinic())
			now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
			was.Advance(now)
			is.Advance(now)
			got := told(diff.Meshes(was, is))
			if got != c.want && (c.want != "…" || got == "") {
				t.Errorf("\n%s, want\n%s", got, c.want)
			}
		})
	}
}
