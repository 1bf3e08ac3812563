package diff_test

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/diff"
)

const ward = `{` + definitions + `
	"schedules": {"office": {"tz": "UTC", "weekly": ["Mon-Fri 07:00-19:00"]}, "spare": {"tz": "UTC", "weekly": ["Mon 07:00-19:00"]}},
	"oncall": {"icu": {"ics": "icu.ics"}},
	"approvals": {
		"approve:vendor": {"by": ["group:it"], "count": 2, "notRequester": true, "maxDuration": "4h", "ticket": "^CHG"},
		"approve:spare": {"by": ["group:it"], "count": 2, "maxDuration": "4h"},
	},
	"segments": {"seg:ct": {"members": ["tag:ct"], "class": "phi", "impact": "clinical", "owner": "group:it"}},
	"grants": [
		{"id": "g1", "src": ["group:it"], "dst": ["tag:pacs"], "ip": ["tcp:22"], "srcPosture": ["posture:managed"], "approval": "approve:vendor"},
		{"id": "g2", "src": ["group:radiology"], "dst": ["tag:pacs"], "ip": ["tcp:443"], "when": {"schedule": "office", "oncall": "icu"}, "log": "flows"},
		{"id": "web", "src": ["group:it"], "dst": ["autogroup:internet"], "ip": ["tcp:443"]},
	],
	"forbid": [{"id": "sick", "src": ["*"], "dst": ["tag:ct"], "when": {"posture": ["posture:sick"]}}],
	"breakGlass": [{"id": "storm", "declare": {"by": "group:it", "count": 2}, "segments": ["seg:ct"], "waives": ["mfa"], "maxDuration": "72h", "alert": ["group:it"]}],
	"lockdown": {"red": {"by": ["group:it"], "count": 1, "forbid": [{"src": ["*"], "dst": ["tag:ct"]}]}},
	"ssh": [{"action": "accept", "src": ["group:it"], "dst": ["tag:pacs"], "users": ["root"]}],
	"autoApprovers": {"routes": {"10.20.30.0/24": ["tag:gw"]}},
}`

// What rules use by name is told by what it means: an edit of it alone leaves every rule
// as it stands there. What nobody uses has no effect.
func TestDefinitions(t *testing.T) {
	text := strings.Replace(ward, `"postures": {`, `"postures": {"posture:sick": ["custom:sick == true", "node:os == 'linux'"], "posture:spare": ["custom:spare == true"], `, 1)
	for _, c := range []struct{ was, is, want string }{
		{`"count": 2, "not`, `"count": 1, "not`, "+ rule g1: approve:vendor needs 1 instead of 2 approvers\n"},
		{`"by": ["group:it"], "count": 2, "not`, `"by": ["group:it", "rhea@h"], "count": 2, "not`,
			"+ rule g1: approve:vendor is given by group:it and rhea@h instead of group:it\n"},
		{`"notRequester": true`, `"notRequester": false`, "+ rule g1: approve:vendor may not be given by who asks: no instead of yes\n"},
		{`"maxDuration": "4h"`, `"maxDuration": "90m"`, "- rule g1: approve:vendor lasts at most 1h30m instead of 4h\n"},
		{`"^CHG"`, `".*"`, "~ rule g1: approve:vendor needs a ticket like .* instead of a ticket like ^CHG\n"},
		{`custom:mdm == true`, `node:os == 'linux'`, "~ rule g1: posture:managed asks for node:os == 'linux' instead of custom:mdm == true\n"},
		{`"custom:sick == true", `, ``, "- rule sick: posture:sick asks for node:os == 'linux' instead of custom:sick == true and node:os == 'linux'\n"},
		{`"Mon-Fri 07:00-19:00"`, `"Mon-Fri 07:00-19:00", "Sat 07:00-19:00"`, "+ rule g2: schedule office is open at UTC: Mon-Sat 07:00-19:00 instead of UTC: Mon-Fri 07:00-19:00\n"},
		{`"office": {"tz": "UTC"`, `"office": {"tz": "Asia/Tokyo"`, "~ rule g2: schedule office is open at Asia/Tokyo: Mon-Fri 07:00-19:00 instead of UTC: Mon-Fri 07:00-19:00\n"},
		{`Mon-Fri 07:00-19:00`, `Mon-Fri 08:00-19:00`, "- rule g2: schedule office is open at UTC: Mon-Fri 08:00-19:00 instead of UTC: Mon-Fri 07:00-19:00\n"},
		{`icu.ics`, `other.ics`, "~ rule g2: oncall icu is the roster other.ics instead of icu.ics\n"},
		{`"log": "flows"}`, `"log": "off"}`, "~ rule g2 is recorded as off instead of flows\n"},
		{`"waives": ["mfa"]`, `"waives": ["mfa", "risk"]`, "+ breakGlass storm lifts mfa and risk instead of mfa\n"},
		{`"72h"`, `"720h"`, "+ breakGlass storm lasts at most 720h instead of 72h\n"},
		{`"lockdown": {"red": {"by": ["group:it"], "count": 1, "forbid": [{"src": ["*"], "dst": ["tag:ct"]}]}},`, ``, "+ lockdown red (gone)\n"},
		{`"count": 1, "forbid": [{"src": ["*"]`, `"count": 1, "forbid": [{"src": ["tag:gw"]`,
			"~ lockdown red forbids tag:gw to everything at tag:ct instead of * to everything at tag:ct\n"},
		{`"tag:pacs": []`, `"tag:pacs": ["group:it"]`, "+ tag:pacs may be put on nodes by group:it instead of nothing\n"},
		{`"users": ["root"]`, `"users": ["ops"]`, "+ ssh of group:it to tag:pacs as ops (new)\n- ssh of group:it to tag:pacs as root (gone)\n"},
		{`"10.20.30.0/24": ["tag:gw"]`, `"10.20.0.0/16": ["tag:gw"]`, "+ routes in 10.20.0.0/16 (new)\n- routes in 10.20.30.0/24 (gone)\n"},
		{`"autogroup:internet"], "ip": ["tcp:443"]`, `"autogroup:internet"], "ip": ["tcp:443"], "when": {"posture": ["posture:managed"]}`,
			"- rule web: through exit nodes group:it to tcp/443 at the internet asks for posture:managed instead of nothing\n"},
		{`"zoe@h"]`, `"zoe@h", "yan@h"]`, "…"},
		{`approve:spare": {"by": ["group:it"], "count": 2`, `approve:spare": {"by": ["group:it"], "count": 1`, ""},
		{`custom:spare == true`, `custom:spare == false`, ""},
		{`["Mon 07:00-19:00"]`, `["Tue 07:00-19:00"]`, ""},
		{`"owner": "group:it"`, `"owner": "group:radiology"`, ""},
	} {
		if !strings.Contains(text, c.was) {
			t.Fatalf("%s is not there", c.was)
		}
		was, is := mesh(parse(t, text), clinic()), mesh(parse(t, strings.Replace(text, c.was, c.is, 1)), clinic())
		got := told(diff.Meshes(was, is))
		if got != c.want && (c.want != "…" || !strings.Contains(got, "+ rule g1 and rule web: those of group:it who have no node yet are yan@h instead of nothing\n")) {
			t.Errorf("%s: told is\n%swant\n%s", c.is, got, c.want)
		}
	}
}
