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
		{"a forbid by the hour", `}]`, `}], "forbid": [{"id": "f", "src": ["*"], "dst": ["tag:pacs"], "when": {"schedule": "night"}}]`,
			"- 3 people in group:radiology lose tcp/104 and tcp/443 with schedule:night (UTC: Mon-Sun 00:00-08:00; Mon-Sun 20:00-24:00) at archive (tag:pacs)\n"},
		{"a schedule that is edited", `, "when": {"schedule": "day"}}]`, `, "when": {"schedule": "night"}}]`,
			"~ tcp/104 and tcp/443 at archive (tag:pacs): for 3 people in group:radiology it changes from " +
				"schedule:day (UTC: Mon-Sun 08:00-20:00) to schedule:night (UTC: Mon-Sun 00:00-08:00; Mon-Sun 20:00-24:00)\n"},
		{"a forbid under a condition, of what has one", `, "when": {"mfa": {"amr": ["hwk"]}}}]`, `, "when": {"mfa": {"amr": ["hwk"]}}}], "forbid": [{"src": ["*"], "dst": ["tag:pacs"], "when": {"posture": ["posture:managed"]}}]`,
			"- 3 people in group:radiology lose tcp/104 and tcp/443 with mfa:amr=hwk and posture:managed at archive (tag:pacs)\n"},
		{"the schedule goes", `, "when": {"schedule": "day"}}]`, `}]`,
			"+ 3 people in group:radiology gain tcp/104 and tcp/443 without schedule:day (UTC: Mon-Sun 08:00-20:00) at archive (tag:pacs)\n"},
		{"an older login", `, "when": {"mfa": {"within": "8h"}}}]`, `, "when": {"mfa": {"within": "80h"}}}]`,
			"+ tcp/104 and tcp/443 at archive (tag:pacs): for 3 people in group:radiology it changes from mfa:within=8h to mfa:within=80h (wider)\n"},
		{"fewer methods", `, "when": {"mfa": {"amr": ["hwk", "otp"]}}}]`, `, "when": {"mfa": {"amr": ["hwk"]}}}]`,
			"- tcp/104 and tcp/443 at archive (tag:pacs): for 3 people in group:radiology it changes from mfa:amr=hwk|otp to mfa:amr=hwk (narrower)\n"},
		{"a later end of what is monitored", `, "when": {"mfa": {"amr": ["hwk"]}}, "monitor": true, "until": "2026-12-31"}]`, `, "when": {"mfa": {"amr": ["hwk"]}}, "monitor": true, "until": "2036-12-31"}]`,
			"+ tcp/104 and tcp/443 at archive (tag:pacs): for 3 people in group:radiology it changes from being monitored and until 2027-01-01T00:00:00Z to being monitored and until 2037-01-01T00:00:00Z (wider)\n"},
		{"through another node no more", `, "through": ["tag:ct"]}]`, `}]`,
			"+ 3 people in group:radiology gain tcp/104 and tcp/443 without a session that ends at a node between at archive (tag:pacs)\n~ rule read goes through nothing instead of tag:ct\n"},
		{"without a recording", `, "log": "record", "recordFailure": "deny"}]`, `, "log": "flows"}]`,
			"+ 3 people in group:radiology gain tcp/104 and tcp/443 without a session that is recorded at archive (tag:pacs)\n~ rule read is recorded as flows instead of record\n"},
		{"going on for longer", `, "when": {"mfa": {"amr": ["hwk"]}}}]`, `, "when": {"mfa": {"amr": ["hwk"]}}, "onExpiry": "drain 30d"}]`,
			"+ tcp/104 and tcp/443 at archive (tag:pacs): for 3 people in group:radiology it changes from mfa:amr=hwk to mfa:amr=hwk and going on for 720h after its end (wider)\n"},
		{"a smaller limit", `, "limit": {"bytes": "4GiB/1h", "onExceed": "cut"}}]`, `, "limit": {"bytes": "500MiB/1h", "onExceed": "cut"}}]`,
			"- tcp/104 and tcp/443 at archive (tag:pacs): for 3 people in group:radiology it changes from at most 4 GiB each 1h, then cut to at most 500 MiB each 1h, then cut (narrower)\n"},
		{"a shorter hold", `}], "segments": {"seg:s": {"members": ["tag:pacs"], "class": "phi", "impact": "clinical", "owner": "group:it"}}`, `}], "segments": {"seg:s": {"members": ["tag:pacs"], "class": "phi", "impact": "clinical", "owner": "group:it", "offline": {"hold": "1h"}}}`,
			"- 3 people in group:radiology lose tcp/104 and tcp/443 without the coordinator heard within 1h at archive (tag:pacs)\n"},
		{"a schedule under another name", `, "when": {"schedule": "day"}}], "oncall": {}`, `, "when": {"schedule": "day"}}]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			was, is := mesh(parse(t, grant+c.was+end[1:]), clinic()), mesh(parse(t, grant+c.is+end[1:]), clinic())
			now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
			was.Advance(now)
			is.Advance(now)
			got := told(diff.Meshes(was, is))
			if got != c.want {
				t.Errorf("\n%s, want\n%s", got, c.want)
			}
			if there, back := diff.Meshes(was, is), diff.Meshes(is, was); len(there.Gained) != len(back.Lost) || len(there.Lost) != len(back.Gained) || len(there.Changed) != len(back.Changed) {
				t.Errorf("taken back it is told as\n%s", told(back))
			}
		})
	}
}
