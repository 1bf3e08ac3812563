package compile_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// A policy in force whose rule asks for less than a floor is bound by the floor.
func TestFloorHoldsInForce(t *testing.T) {
	const src = `{
		"groups": {"group:nurses": ["ada@h.example"]}, "tagOwners": {"tag:ehr": []},
		"segments": {"seg:ehr": {"members": ["tag:ehr"], "requires": {"mfa": {"within": "12h"}}}},
		"grants": [{"src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:443"], "when": {"mfa": {"within": "24h"}}}],
		"tests": [
			{"name": "fresh", "src": "group:nurses", "given": {"mfaAge": "11h"}, "accept": ["tag:ehr:443"]},
			{"name": "stale", "src": "group:nurses", "given": {"mfaAge": "13h"}, "deny": ["tag:ehr:443"]},
		],
	}`
	pol, _, err := policy.Options{InForce: true}.Parse("p", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	m := compile.New(pol, nil)
	m.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	if results, err := m.TestResults(t.Context()); err != nil || len(results) != 2 {
		t.Errorf("%d results, %v", len(results), err)
	}
	for _, f := range tested(t, m) {
		t.Error(f)
	}
}
