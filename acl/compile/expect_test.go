package compile_test

import (
	"context"
	"strings"
	"testing"
)

// What a test expects of the rule that accepts is judged: each thing for itself, and of a
// declared break-glass that lifts a rule's conditions, whom it alarms and how long it lasts.
func TestExpectationsCanFail(t *testing.T) {
	const sections = `"approvals": {"approve:one": {"by": ["group:nurses"], "maxDuration": "4h"}},
"segments": {"seg:pump": {"members": ["tag:pump"], "owner": "group:nurses", "requires": {"mfa": {"within": "8h"}}, "log": "detail"}},
"grants": [
	{"id": "ward", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "log": "drops"},
	{"id": "visit", "src": ["ada@h"], "dst": ["tag:gw"], "ip": ["tcp:443"], "approval": "approve:one"},
	{"id": "pumps", "src": ["ada@h"], "dst": ["tag:pump"], "ip": ["tcp:443"]},
	{"id": "tuning", "src": ["ada@h"], "dst": ["tag:pump"], "ip": ["tcp:22"], "approval": "approve:one"}],
"breakGlass": [
	{"id": "own", "src": ["ada@h"], "dst": ["tag:cart"], "ip": ["tcp:443"], "maxDuration": "1h", "alert": ["group:nurses", "tag:gw"]},
	{"id": "down", "segments": ["seg:pump"], "waives": ["mfa"], "declare": {"by": "group:nurses"}, "maxDuration": "72h", "alert": ["tag:ehr"]}],
"tests": [{"src": "ada@h", "given": {GIVEN}, "accept": ["DST"], "expect": {EXPECT}}]`
	for _, c := range []struct{ dst, given, expect, why string }{
		{"tag:ehr:443", ``, `"rule": "ward"`, ""},
		{"tag:ehr:443", ``, `"rule": "visit"`, `rule "visit" was expected`},
		{"tag:ehr:443", ``, `"log": "drops"`, ""},
		{"tag:ehr:443", ``, `"log": "flows"`, "it logs drops, not flows"},
		{"tag:pump:443", `"mfaAge": "1h"`, `"log": "detail"`, ""},
		{"tag:ehr:443", ``, `"alert": "group:nurses"`, "group:nurses is not alerted"},
		{"tag:ehr:443", ``, `"maxDuration": "4h"`, "it lasts"},
		{"tag:gw:443", `"approvedBy": 1`, `"maxDuration": "4h"`, ""},
		{"tag:gw:443", `"approvedBy": 1`, `"maxDuration": "5h"`, "it lasts 4h0m0s at most, not 5h0m0s"},
		{"tag:cart:443", `"breakGlass": "own"`, `"alert": "tag:gw", "maxDuration": "1h"`, ""},
		{"tag:cart:443", `"breakGlass": "own"`, `"alert": "tag:ehr"`, "tag:ehr is not alerted"},
		{"tag:pump:443", `"breakGlass": "down"`, `"alert": "tag:ehr", "maxDuration": "72h"`, ""},
		{"tag:pump:443", `"breakGlass": "down"`, `"alert": "group:nurses"`, "group:nurses is not alerted"},
		{"tag:pump:443", `"breakGlass": "down", "mfaAge": "1h"`, `"alert": "tag:ehr"`, ""}, // whoever meets all goes by it too: it comes first
		{"tag:pump:443", `"mfaAge": "1h"`, `"alert": "tag:ehr"`, "tag:ehr is not alerted"},
		{"tag:pump:22", `"breakGlass": "down", "approvedBy": 1`, `"maxDuration": "4h"`, ""}, // the approval ends before the glass
		{"tag:pump:22", `"breakGlass": "down", "approvedBy": 1`, `"maxDuration": "72h"`, "it lasts 4h0m0s at most"},
	} {
		m := bed(t, strings.NewReplacer("GIVEN", c.given, "DST", c.dst, "EXPECT", c.expect).Replace(sections), wardStart())
		failures, err := m.Test(context.Background())
		switch {
		case err != nil:
			t.Fatal(err)
		case c.why == "" && len(failures) > 0:
			t.Errorf("%s, given %s: %v", c.expect, c.given, failures)
		case c.why != "" && (len(failures) != 1 || !strings.Contains(failures[0].Text, c.why)):
			t.Errorf("%s, given %s: %v, want %s", c.expect, c.given, failures, c.why)
		}
	}
}
