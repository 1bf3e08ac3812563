package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// A rule is bound by what a segment needs however its destination names what is in it:
// one that records too little where lives hang on it is refused, and so is one that asks
// for less where all of its destination is inside. One that leads elsewhere too is warned of.
func TestFloorsKnowWhatIsInNames(t *testing.T) {
	const world = `{"groups": {"group:it": ["ada@h.example"]}, "tagOwners": {"tag:gw": [], "tag:vent": [], "tag:web": []},
		"hosts": {"one": "10.20.1.7", "far": "10.99.0.1"}, "ipsets": {"ipset:pumps": ["10.20.0.0/16"], "ipset:two": ["10.20.1.0/24", "10.20.2.0/24"], "ipset:half": ["10.20.1.0/24", "10.99.0.0/24"], "ipset:seen": ["10.30.0.0/16"]},
		"assets": [{"tag": "tag:cam", "behind": "tag:gw", "bind": "mac", "match": {"ipset": "ipset:seen", "vlan": 7}}],
		"segments": {SEGMENTS, "seg:plain": {"members": ["tag:vent", "10.20.1.0/24"], "owner": "group:it"}},
		"grants": [{"id": "r", "src": ["group:it"], "dst": [%q], "ip": ["tcp:443"], %s}]}`
	segment := func(members string) string {
		return `"seg:s": {"members": [` + members + `], "owner": "group:it", "impact": "life", "requires": {"mfa": {"within": "8h"}}}`
	}
	const none, part, whole = 0, 1, 2
	for _, c := range []struct {
		members, dst string
		has          int
	}{
		{`"tag:vent"`, "*", part},
		{`"tag:vent"`, "autogroup:tagged", part},
		{`"tag:vent"`, "tag:vent", whole},
		{`"tag:vent"`, "seg:s", whole},
		{`"tag:vent"`, "seg:plain", part},
		{`"tag:vent", "10.20.0.0/16"`, "seg:plain", whole},
		{`"tag:vent"`, "tag:web", none},
		{`"tag:vent"`, "10.0.0.0/8", none},
		{`"tag:vent"`, "autogroup:member", none},
		{`"tag:cam"`, "autogroup:tagged", none},
		{`"tag:cam"`, "*", part},
		{`"tag:cam"`, "ipset:seen", part},
		{`"tag:cam"`, "10.0.0.0/8", part},
		{`"tag:cam"`, "10.30.1.0/24", none}, // it may be elsewhere in the set
		{`"ipset:pumps"`, "10.0.0.0/8", part},
		{`"ipset:pumps"`, "10.20.3.0/24", whole},
		{`"ipset:pumps"`, "one", whole},
		{`"ipset:pumps"`, "ipset:two", whole},
		{`"ipset:pumps"`, "ipset:half", part},
		{`"ipset:pumps"`, "far", none},
		{`"one"`, "ipset:pumps", part},
		{`"one"`, "10.20.1.7/32", whole},
		{`"one"`, "autogroup:tagged", none},
	} {
		text := strings.Replace(world, "SEGMENTS", segment(c.members), 1)
		_, _, err := policy.Parse("p", fmt.Appendf(nil, text, c.dst, `"log": "off"`))
		if refused := err != nil && strings.Contains(err.Error(), "is too little for seg:s"); refused != (c.has != none) {
			t.Errorf("nothing recorded at %s, of lives at %s: %v", c.dst, c.members, err)
		}
		_, warnings, err := policy.Parse("p", fmt.Appendf(nil, text, c.dst, `"when": {"mfa": {"within": "9h"}}`))
		if refused := err != nil && strings.Contains(err.Error(), "is weaker than what seg:s requires"); refused != (c.has == whole) {
			t.Errorf("9h at %s, 8h at %s: %v", c.dst, c.members, err)
		}
		if warned := strings.Contains(fmt.Sprint(warnings), "is weaker than what seg:s requires in line 4, to which it leads among others: mfa within 9h"); warned != (c.has == part) {
			t.Errorf("9h at %s, 8h at %s: %v", c.dst, c.members, warnings)
		}
		if _, warnings, err := policy.Parse("p", fmt.Appendf(nil, text, c.dst, `"log": "detail", "when": {"mfa": {"within": "8h"}}`)); err != nil || len(warnings) > 0 {
			t.Errorf("as much at %s as at %s: %v, %v", c.dst, c.members, err, warnings)
		}
	}
}
