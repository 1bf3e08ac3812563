package compile_test

import (
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Where people need not sign in, what drains asks for the session of which its proof
// is, by whose absence a node knows that somebody ended it; and for no session where
// none is proved, lest a grant that never needed a sign-in begin to.
func TestWhatDrainsAsksForTheSessionOfItsProof_A18(t *testing.T) {
	const drains = `, "onExpiry": "drain 15m"`
	const floor = `"seg:a": {"members": ["tag:ehr"], "owner": "group:nurses", "requires": {"mfa": {"within": "8h"}}}`
	nina := `"src": ["ada@h"]`
	for _, tt := range []struct {
		name, segments, src, terms string
		want                       []acl.Fact
		told                       bool // whoever is signed in, to nodes
	}{
		{"a login", "", nina, `, "when": {"mfa": {"within": "8h"}}` + drains, []acl.Fact{"mfa:within=8h0m0s", acl.SignedIn}, true},
		{"a session", "", nina, `, "when": {"session": "login", "idle": "10m"}` + drains, []acl.Fact{"session:kind=login:idle=10m0s", acl.SignedIn}, true},
		{"a login for a segment", floor, nina, drains, []acl.Fact{"mfa:within=8h0m0s", acl.SignedIn}, true},
		{"nothing drains", "", nina, `, "when": {"mfa": {"within": "8h"}}`, []acl.Fact{"mfa:within=8h0m0s"}, false},
		{"no proof", "", nina, `, "srcPosture": ["posture:managed"]` + drains, []acl.Fact{"posture:managed"}, false},
		{"a duty", "", nina, `, "when": {"oncall": "icu"}` + drains, []acl.Fact{"oncall:icu"}, false},
		{"a machine", "", `"src": ["tag:cart"]`, `, "when": {"mfa": {"within": "8h"}}` + drains, nil, true},
		{"a shared machine", "", `"src": ["ada@h"], "srcDevice": ["tag:cart"]`, `, "when": {"mfa": {"within": "8h"}}` + drains, []acl.Fact{"mfa:within=8h0m0s", policy.PersonFact([]policy.Selector{{Kind: policy.User, Name: "ada@h"}})}, false},
	} {
		m := bed(t, `"oncall": {"icu": {"ics": "icu.ics"}}, "segments": {`+tt.segments+`}, "grants": [{`+tt.src+`, "dst": ["tag:ehr"], "ip": ["*"]`+tt.terms+`}]`,
			wardStart(), bedNode(1, "ada@h"), bedNode(2, "tag:ehr"), bedNode(3, "tag:cart"))
		if got := inOf(t, m).Needs; !slices.Equal(got, tt.want) {
			t.Errorf("%s: needs %q, want %q", tt.name, got, tt.want)
		}
		facts := m.FactsOf(&compile.Evidence{SignedIn: compile.Forever()}, wardStart())
		if told := len(facts) > 0; told != tt.told {
			t.Errorf("%s: of who is signed in nodes are told %v", tt.name, facts)
		}
	}
}
