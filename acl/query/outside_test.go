package query_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/policy"
)

// A rule that forbids something to * is for the mesh and for what is routed behind its
// gateways; what comes from elsewhere it does not know. One of autogroup:danger-all is for
// whatever comes. Explain, tests, reach and the filter say the same of both.
func TestWhomStarForbids(t *testing.T) {
	const tcp = 6
	two := func(a, b string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(a), netip.MustParseAddr(b)} }
	parse := func(t *testing.T, text string) *policy.Policy {
		t.Helper()
		pol, _, err := policy.Parse("p", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return pol
	}
	const rules = `"tagOwners": {"tag:ehr": [], "tag:gw": []}, "grants": [{"id": "all", "src": ["autogroup:danger-all"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}],`
	sources := map[string]string{ // to which rule's source they belong
		"100.64.0.1":  "*", // a node
		"fd7a::1":     "*",
		"100.64.0.99": "*",                    // of nobody, of the mesh
		"10.33.1.5":   "*",                    // behind a gateway, whose route is approved
		"10.99.0.5":   "autogroup:danger-all", // elsewhere
		"192.0.2.7":   "autogroup:danger-all",
		"2001:db8::7": "autogroup:danger-all",
	}
	for _, forbid := range []string{"*", "autogroup:danger-all"} {
		pol := parse(t, `{`+rules+`"forbid": [{"id": "no", "src": ["`+forbid+`"], "dst": ["tag:ehr"]}]}`)
		m := compile.New(pol, []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a::/48")})
		m.Load([]compile.Node{
			{ID: "laptop", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2")},
			{ID: "gw", Tags: []string{"tag:gw"}, Addrs: two("100.64.0.3", "fd7a::3"), Routes: []netip.Prefix{netip.MustParsePrefix("10.33.0.0/16")}},
		})
		for src, of := range sources {
			from, to := netip.MustParseAddr(src), two("100.64.0.2", "fd7a::2")[0]
			if from.Is6() {
				to = two("100.64.0.2", "fd7a::2")[1]
			}
			forbidden := forbid == "autogroup:danger-all" || of == "*"
			if e := m.Explain(from, to, tcp, 443); e.Allow == forbidden || strings.HasPrefix(e.Text, `denied: rule "no"`) != forbidden {
				t.Errorf("%s forbidden, from %s: %s", forbid, src, e.Text)
			}
			class, owner := m.ClassOf(from)
			own, _ := m.ClassOf(to)
			judge, err := filter.NewPlaces([]filter.Place{{Class: class, Owner: owner}, {Class: own}}).Judge(m.Inwards("ehr"))
			if err != nil {
				t.Fatal(err)
			}
			if v := judge.Between(0, 1, from.Is6()).Judge(tcp, 443, filter.At(time.Now())); v.Allow == forbidden {
				t.Errorf("%s forbidden, from %s: the filter says %+v", forbid, src, v)
			}
			want := `"accept"`
			if forbidden {
				want = `"deny"`
			}
			tests := parse(t, `{`+rules+`"forbid": [{"id": "no", "src": ["`+forbid+`"], "dst": ["tag:ehr"]}], "tests": [{"src": "`+src+`", `+want+`: ["tag:ehr:443"]}]}`)
			if failures, err := m.With(tests).Test(t.Context()); err != nil || len(failures) > 0 {
				t.Errorf("%s forbidden: %v, %v", forbid, failures, err)
			}
		}
		if table := m.ReachTable(); strings.Contains(table, "laptop") || strings.Contains(table, "10.33") {
			t.Errorf("%s forbidden:\n%s", forbid, table)
		}
	}
}
