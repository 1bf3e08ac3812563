package policy_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/cordonmesh/cordon/acl/policy"
)

// hospital reads the example of a whole hospital, on the day for which it is written.
func hospital(t *testing.T) (*policy.Policy, []policy.Warning) {
	t.Helper()
	src, err := os.ReadFile("testdata/hospital.hujson")
	if err != nil {
		t.Fatal(err)
	}
	p, warnings, err := reading().Parse("hospital.hujson", src)
	if err != nil {
		t.Fatal(err)
	}
	return p, warnings
}

func TestHospital(t *testing.T) {
	p, warnings := hospital(t)
	if len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
	counts := map[string]int{}
	for _, r := range p.Rules() {
		counts[r.Section]++
	}
	for range p.Forbids() {
		counts["forbid"]++
	}
	for section, want := range map[string]int{"breakGlass": 1, "grants": 20, "segments": 1, "forbid": 4} {
		if counts[section] != want {
			t.Errorf("%d rules of %s, want %d", counts[section], section, want)
		}
	}
	if len(p.Segments()) != 7 || len(p.Assets()) != 4 || len(p.BreakGlass()) != 2 || len(p.Tests()) != 12 {
		t.Errorf("%d segments, %d assets, %d break-glass, %d tests", len(p.Segments()), len(p.Assets()), len(p.BreakGlass()), len(p.Tests()))
	}
}

func TestFormatOfTheHospital(t *testing.T) {
	src, _ := os.ReadFile("testdata/hospital.hujson")
	once, err := policy.Format("p", src)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := policy.Format("p", once); err != nil || !bytes.Equal(once, twice) {
		t.Errorf("formatting is not idempotent: %v", err)
	}
	p, _ := hospital(t)
	again, _, err := reading().Parse("p", once)
	if err != nil || len(again.Rules()) != len(p.Rules()) || again.Rules()[3].Text != p.Rules()[3].Text {
		t.Errorf("formatting changed what it says: %v", err)
	}
}
