package compile_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
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
	for _, f := range tested(t, wholeHospital(t)) {
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
	failures := tested(t, m)
	if len(failures) != expectations {
		t.Errorf("%d of %d turned expectations fail:", len(failures), expectations)
	}
	for _, f := range failures {
		t.Log(f)
	}
}

// A rule that asks nodes for what none can do yet is closed, as nodes take it; what
// would be if they could is for those who suppose it.
func TestWhatNoNodeCanDoIsClosed(t *testing.T) {
	for key, what := range map[string]string{
		`"through": ["tag:jump"]`: "through", `"log": "record", "recordFailure": "deny"`: "record",
	} {
		pol, _, err := policy.Parse("p", []byte(`{"tagOwners": {"tag:a": [], "tag:b": [], "tag:jump": []}, "grants": [{"id": "g", "src": ["tag:a"], "dst": ["tag:b"], "ip": ["tcp:22"], `+key+`}]}`))
		if err != nil {
			t.Fatal(err)
		}
		m := compile.New(pol, ranges())
		a, b := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.2")
		m.Load([]compile.Node{{ID: "a", Tags: []string{"tag:a"}, Addrs: []netip.Addr{a}}, {ID: "b", Tags: []string{"tag:b"}, Addrs: []netip.Addr{b}}})
		m.At(time.Now())
		if e := m.Explain(a, b, acl.TCP, 22); e.Allow || !strings.Contains(e.Text, "what no node can do yet ("+what+")") {
			t.Errorf("%s: %+v", key, e)
		}
		if rules := m.Rules("b").In; len(rules) != 1 || !slices.Contains(rules[0].Features, what) {
			t.Errorf("%s: %+v", key, rules)
		}
		m.Suppose(&policy.Given{}, compile.Node{}, time.Now())
		if e := m.Explain(a, b, acl.TCP, 22); !e.Allow {
			t.Errorf("%s, supposed: %+v", key, e)
		}
		m.Suppose(nil, compile.Node{}, time.Now())
		if m.Allowed(a, b, acl.TCP, 22) {
			t.Errorf("%s: it stays open when nothing is supposed any more", key)
		}
	}
}
