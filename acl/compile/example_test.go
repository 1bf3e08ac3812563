package compile_test

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// A nurse's laptop joins: the record server is told of it, and nobody's rules change.
func Example() {
	pol, _, err := policy.Parse("clinic.hujson", []byte(`{
		"groups":    {"group:nurses": ["ada@clinic.example", "ben@clinic.example"]},
		"tagOwners": {"tag:ehr": []},
		"grants":    [{"id": "ward", "src": ["group:nurses"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}],
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	m := compile.New(pol, []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")})
	m.Load([]compile.Node{
		{ID: "1", Name: "ehr", Tags: []string{"tag:ehr"}, Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.1")}},
		{ID: "2", Name: "ada-laptop", User: "ada@clinic.example", Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.2")}},
	})
	change := m.Put(compile.Node{ID: "3", Name: "ben-laptop", User: "ben@clinic.example", Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.3")}})
	for v := range change.Views() {
		fmt.Println("node", v.Node, "sees", slices.Collect(v.Upserted()), "rules changed:", v.Rules)
	}
	fmt.Println(m.Explain(netip.MustParseAddr("100.64.0.3"), netip.MustParseAddr("100.64.0.1"), acl.TCP, 22).Text)
	fmt.Print(m.ReachTable())
	// Unordered output:
	// node 3 sees [1] rules changed: true
	// node 1 sees [3] rules changed: false
	// denied: no rule lets ben-laptop (100.64.0.3) reach ehr (100.64.0.1) on tcp 22; the nearest is rule "ward" (clinic.hujson:4): it opens tcp 443 there, not tcp 22
	// FROM                    TO   OPEN     BY RULE  WHEN
	// ada-laptop, ben-laptop  ehr  tcp 443  ward     always
}
