package compile_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// wholeHospital is the whole policy of a hospital, at the moment at which its tests are
// to be judged.
func wholeHospital(t *testing.T) *compile.Mesh {
	t.Helper()
	const name = "../policy/testdata/hospital.hujson"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	pol, warnings, err := policy.Options{Now: now}.Parse("hospital.hujson", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w)
	}
	m := compile.New(pol, nil)
	m.Advance(now)
	return m
}

func TestHospital(t *testing.T) {
	for _, f := range wholeHospital(t).Test() {
		t.Error(f)
	}
}

// Each expectation of the file is one that can fail: turned around, it does.
func TestHospitalsTestsCanFail(t *testing.T) {
	const name = "../policy/testdata/hospital.hujson"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	turned := strings.NewReplacer(`"accept": [`, `"deny": [`, `"deny": [`, `"accept": [`).Replace(string(text))
	pol, _, err := policy.Options{Now: now}.Parse("turned.hujson", []byte(turned))
	if err != nil {
		t.Fatal(err)
	}
	m := compile.New(pol, nil)
	m.Advance(now)
	expectations := 0
	for _, one := range pol.Tests() {
		expectations += len(one.Accept) + len(one.Deny)
	}
	failures := m.Test()
	if len(failures) != expectations {
		t.Errorf("%d of %d turned expectations fail:", len(failures), expectations)
	}
	for _, f := range failures {
		t.Log(f)
	}
}
