package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

const peopled = `"groups": {"group:all": ["ada@h.example", "bob@h.example", "scim:Nurses"], "group:nurses": ["bob@h.example"], "group:ward": ["scim:Nurses"], "group:others": ["bob@h.example", "eve@x.example"], "group:none": []},
	"hosts": {"ct": "10.20.30.11"}, "ipsets": {"ipset:imaging": ["10.20.30.0/25", "10.20.30.128/25"], "ipset:parts": ["10.20.30.7", "10.20.30.200"], "ipset:net": ["autogroup:internet", "10.20.30.7"]},
	"tagOwners": {"tag:gw": [], "tag:ehr": [], "tag:both": []},
	"assets": [{"tag": "tag:pump", "behind": "tag:gw", "bind": "mac", "match": {"vlan": 9}}, {"tag": "tag:both", "behind": "tag:gw", "bind": "mac", "match": {"vlan": 8}}],
	"segments": {"seg:ehr": {"members": ["tag:ehr", "ct"], "owner": "group:nurses"}},`

// A rule is dead if another one has all that its names stand for, and not if that one
// might have less.
func TestShadowsKnowWhatIsInNames(t *testing.T) {
	for _, c := range []struct {
		by, rule string // src > dst
		dead     bool
	}{
		{"group:all > tag:ehr", "group:nurses > tag:ehr", true},
		{"group:all > tag:ehr", "group:ward > tag:ehr", true},
		{"group:all > tag:ehr", "bob@h.example > tag:ehr", true},
		{"group:all > tag:ehr", "group:others > tag:ehr", false},
		{"group:all > tag:ehr", "group:nurses, group:others > tag:ehr", false},
		{"group:all, eve@x.example > tag:ehr", "group:others > tag:ehr", true},
		{"user:*@h.example > tag:ehr", "group:nurses > tag:ehr", true},
		{"user:*@h.example > tag:ehr", "group:ward > tag:ehr", false},
		{"user:*@h.example > tag:ehr", "group:others > tag:ehr", false},
		{"autogroup:member > tag:ehr", "group:others, autogroup:admin, user:*@x.example > tag:ehr", true},
		{"autogroup:member > tag:ehr", "tag:gw > tag:ehr", false},
		{"autogroup:tagged > tag:ehr", "tag:gw > tag:ehr", true},
		{"autogroup:tagged > tag:ehr", "tag:pump > tag:ehr", false},
		{"autogroup:tagged > tag:ehr", "tag:both > tag:ehr", false},
		{"autogroup:tagged > tag:ehr", "bob@h.example > tag:ehr", false},
		{"tag:gw > 10.0.0.0/8", "tag:gw > ct", true},
		{"tag:gw > 10.0.0.0/8", "tag:gw > ipset:imaging, 10.1.0.0/16", true},
		{"tag:gw > 10.0.0.0/8", "tag:gw > tag:pump", false},
		{"tag:gw > 10.20.30.0/25, 10.20.30.128/25", "tag:gw > 10.20.30.0/24", true},
		{"tag:gw > 10.20.30.0/25", "tag:gw > 10.20.30.0/24", false},
		{"tag:gw > ipset:imaging", "tag:gw > ipset:parts, ct", true},
		{"tag:gw > ipset:parts", "tag:gw > ipset:imaging", false},
		{"10.0.0.0/8 > tag:ehr", "ct > tag:ehr", true},
		{"10.20.30.0/25 > tag:ehr", "ipset:imaging > tag:ehr", false},
		{"tag:gw > *", "tag:gw > tag:pump, ct, ipset:imaging, group:all", true},
		{"tag:gw > *", "tag:gw > ipset:net", false}, // that leads into the internet, too
		{"* > tag:ehr", "tag:gw, tag:pump, group:all > tag:ehr", true},
		{"* > tag:ehr", "10.20.30.0/24 > tag:ehr", false}, // nobody knows whether it is routed
		{"* > tag:ehr", "autogroup:danger-all > tag:ehr", false},
		{"autogroup:danger-all > tag:ehr", "* > tag:ehr", true},
		{"autogroup:danger-all > tag:ehr", "10.20.30.0/24, tag:gw, bob@h.example > tag:ehr", true},
		{"tag:gw > tag:ehr, 10.20.0.0/16", "tag:gw > seg:ehr", true},
		{"tag:gw > seg:ehr", "tag:gw > tag:ehr, 10.20.30.11/32", true},
		{"tag:gw > seg:ehr", "tag:gw > 10.20.30.0/24", false},
	} {
		first, then := entry(c.by), entry(c.rule)
		forbidden := warned(t, `"grants": [{"id": "then", `+then+`}], "forbid": [{"id": "first", `+first+`}]`)
		if want := `opens nothing: the forbid "first" in line 6 forbids all of it`; strings.Contains(forbidden, want) != c.dead {
			t.Errorf("forbid %s, grant %s: %s", c.by, c.rule, forbidden)
		}
		opened := warned(t, `"grants": [{"id": "first", `+first+`}, {"id": "then", `+then+`}]`)
		if want := `is never asked: the rule "first" in line 6`; strings.Contains(opened, want) != c.dead {
			t.Errorf("grant %s, grant %s: %s", c.by, c.rule, opened)
		}
	}
}

// entry gives the keys of a rule "src > dst".
func entry(text string) string {
	list := func(names string) string { return `["` + strings.ReplaceAll(names, ", ", `", "`) + `"]` }
	src, dst, _ := strings.Cut(text, " > ")
	return fmt.Sprintf(`"src": %s, "dst": %s, "ip": ["tcp:443"]`, list(src), list(dst))
}

func warned(t *testing.T, sections string) string {
	t.Helper()
	return warnedOf(t, "{"+peopled+"\n"+sections+"}")
}

func warnedOf(t *testing.T, src string) string {
	t.Helper()
	_, warnings, err := policy.Parse("p", []byte(src))
	if err != nil {
		t.Fatalf("%.2000s: %v", src, err)
	}
	return fmt.Sprint(warnings)
}
