package compile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
)

// Who asks who can reach what is not told of what is forbidden, nor of a rule that no
// node can obey. What a condition may open or shut is told of.
func TestReachTellsOfWhatMayBeReached(t *testing.T) {
	for _, tt := range []struct{ rules, want string }{
		{`"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:53"]}]`, "[{6 443 443} {17 53 53}] [g]"},
		{`"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}], "forbid": [{"src": ["*"], "dst": ["tag:ehr"]}]`, ""},
		{`"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:400-500"]}], "forbid": [{"src": ["*"], "dst": ["100.64.0.2"], "ip": ["tcp:410-420", "443"]}]`,
			"[{6 400 409} {6 421 442} {6 444 500}] [g]"},
		{`"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}, {"id": "h", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}], "forbid": [{"src": ["ada@h"], "dst": ["*"], "ip": ["22"]}]`, "[{6 443 443}] [g]"},
		{`"postures": {"posture:sick": ["custom:sick == true"]}, "grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}], "forbid": [{"src": ["*"], "dst": ["tag:ehr"], "when": {"posture": ["posture:sick"]}}]`,
			"[{6 443 443}] [g]"},
		{`"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "when": {"mfa": {"within": "1h"}}}]`, "[{6 443 443}] [g]"},
		{`"breakGlass": [{"id": "b", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "maxDuration": "1h", "alert": ["ada@h"]}]`, "[{6 443 443}] [b]"},
		{`"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "through": ["tag:pam"]}]`, ""},
	} {
		m := compile.New(parse(t, `{"tagOwners": {"tag:ehr": [], "tag:pam": []}, `+tt.rules+`}`), ranges())
		m.Load([]compile.Node{{ID: "laptop", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2")}})
		got := map[string]bool{}
		for a := range m.Reach() {
			got[fmt.Sprint(a.Open, " ", a.Rules)] = true
		}
		if table := m.ReachTable(); tt.want == "" && (len(got) > 0 || strings.Contains(table, "ehr")) || tt.want != "" && (len(got) != 1 || !strings.Contains(table, "ehr")) {
			t.Errorf("%s: %v\n%s", tt.rules, got, table)
		} else if tt.want != "" && !got[tt.want] {
			t.Errorf("%s: %v, want %s", tt.rules, got, tt.want)
		}
	}
}

// What is forbidden at one of a person's own nodes is open at their others, and the
// table tells of it; what is forbidden at all is not in it.
func TestReachTellsOfOwnNodes(t *testing.T) {
	for forbid, want := range map[string]bool{`["100.64.0.1"]`: true, `["100.64.0.1", "100.64.0.2"]`: false, `["autogroup:member"]`: false} {
		m := compile.New(parse(t, `{"grants": [{"src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["tcp:22"]}], "forbid": [{"src": ["*"], "dst": `+forbid+`}]}`), ranges())
		m.Load([]compile.Node{{ID: "laptop", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "phone", User: "ada@h", Addrs: two("100.64.0.2", "fd7a::2")}})
		table := m.ReachTable()
		told := slices.ContainsFunc(strings.Split(table, "\n"), func(line string) bool {
			return strings.Contains(line, "laptop") && strings.Contains(line, "nodes of the same owner")
		})
		if told != want {
			t.Errorf("with %s forbidden:\n%s", forbid, table)
		}
	}
}

// Reach tells for each rule what must be so for it to open anything.
func TestReachTellsWhen(t *testing.T) {
	const world = `"groups": {"group:it": ["ada@h", "ben@h"]}, "postures": {"posture:ok": ["custom:mdm == true"], "posture:new": ["custom:age < 3"], "posture:sick": ["custom:sick == true"]},
		"schedules": {"office": {"tz": "UTC", "weekly": ["Mon-Fri 07:00-19:00"]}}, "oncall": {"icu": {"ics": "icu.ics"}}, "approvals": {"approve:it": {"by": ["group:it"], "count": 2, "maxDuration": "1h"}},
		"tagOwners": {"tag:ehr": []}, "segments": {"seg:ehr": {"members": ["tag:ehr"], "owner": "group:it" FLOOR}},`
	rule := func(more string) string {
		return `"grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"]` + more + `}]`
	}
	for _, c := range []struct{ floor, rules, want string }{
		{"", rule(""), "always"},
		{"", rule(`, "when": {"mfa": {"within": "1h", "amr": ["hwk", "otp"]}}`), "mfa by hwk or otp within the last 1h"},
		{`, "requires": {"mfa": {"within": "8h"}}`, rule(""), "mfa within the last 8h"},
		{"", rule(`, "when": {"posture": "posture:ok", "risk": "<70"}`), "posture:ok and risk below 70"},
		{"", rule(`, "srcPosture": ["posture:ok", "posture:new"]`), "posture:ok; or posture:new"},
		{"", rule(`, "when": {"schedule": "office", "oncall": "icu"}`), "on duty by icu and schedule office"},
		{"", rule(`, "when": {"session": "tap"}`), "session begun by tap"},
		{"", rule(`, "approval": "approve:it"`), "approval by 2 of group:it"},
		{"", rule(`, "monitor": true, "until": "2026-12-01T00:00:00Z", "when": {"risk": "<9"}`), "risk below 9; or until 2026-12-01 00:00 UTC and while it is only monitored"},
		{"", `"breakGlass": [{"id": "b", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "maxDuration": "1h", "alert": ["ada@h"]}]`, "break-glass b"},
		{"", rule("") + `, "forbid": [{"src": ["*"], "dst": ["tag:ehr"], "when": {"posture": "posture:sick"}}, {"src": ["*"], "dst": ["tag:ehr"], "ip": ["22"], "when": {"posture": "posture:new"}}]`, "unless posture:sick"},
		{"", rule(`, "when": {"risk": "<9"}`) + `, "forbid": [{"src": ["*"], "dst": ["tag:ehr"], "when": {"posture": "posture:sick"}}]`, "risk below 9, unless posture:sick"},
		{"", rule(`, "when": {"risk": "<9"}}, {"id": "h", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:22"]`), "tcp 443 by g: risk below 9; tcp 22 by h: always"},
	} {
		m := compile.New(parse(t, "{"+strings.Replace(world, "FLOOR", c.floor, 1)+c.rules+"}"), ranges())
		m.Load([]compile.Node{{ID: "laptop", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2")}})
		if table := m.ReachTable(); !strings.Contains(table, "  WHEN\n") || !strings.HasSuffix(table, "  "+c.want+"\n") {
			t.Errorf("%s: want %s\n%s", c.rules, c.want, table)
		}
		for a := range m.Reach() {
			for i, w := range a.Ways {
				text := strings.Join(w.When, "; or ")
				if text == "" {
					text = "always"
				}
				if !strings.Contains(c.want, text) || !slices.Contains(a.Rules, w.Rule) || len(w.Open) == 0 {
					t.Errorf("%s: way %d is %+v", c.rules, i, w)
				}
			}
			if len(a.Ways) < len(a.Rules) {
				t.Errorf("%s: %+v", c.rules, a)
			}
		}
	}
}
