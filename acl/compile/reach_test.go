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
