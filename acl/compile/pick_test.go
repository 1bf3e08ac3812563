package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// picked is a mesh of two people, one with two machines, a server, and a gateway
// with a network behind it.
func picked(t *testing.T) *compile.Mesh {
	t.Helper()
	pol, _, err := policy.Parse("p", []byte(`{
		"groups": {"group:it": ["zoe@h"]}, "tagOwners": {"tag:ehr": [], "tag:gw": []}, "hosts": {"ct": "10.1.0.9"},
		"grants": [
			{"id": "ward", "src": ["autogroup:member"], "dst": ["tag:ehr"], "ip": ["tcp:443"]},
			{"id": "it", "src": ["group:it"], "dst": ["tag:gw", "10.1.0.0/16"], "ip": ["tcp:22"]},
			{"id": "own", "src": ["autogroup:member"], "dst": ["autogroup:self"], "ip": ["tcp:9"]},
			{"id": "store", "src": ["ct"], "dst": ["tag:ehr"], "ip": ["tcp:104"]},
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	m := compile.New(pol, []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10")})
	var nodes []compile.Node
	for i, n := range []compile.Node{{Name: "ana-pc", User: "ana@h"}, {Name: "zoe-pc", User: "zoe@h"}, {Name: "zoe-tab", User: "zoe@h"}, {Name: "ehr", Tags: []string{"tag:ehr"}},
		{Name: "gate", Tags: []string{"tag:gw"}, Routes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}} {
		n.ID, n.Addrs = "n-"+n.Name, []netip.Addr{netip.AddrFrom4([4]byte{100, 64, 0, byte(i + 1)})}
		nodes = append(nodes, n)
	}
	m.Load(nodes)
	return m
}

func TestReachBetween(t *testing.T) {
	m := picked(t)
	net := func(text string) compile.Pick {
		return m.PickSelector(policy.Selector{Kind: policy.Net, Prefix: netip.MustParsePrefix(text)})
	}
	named := func(kind policy.Kind, name string) compile.Pick {
		return m.PickSelector(policy.Selector{Kind: kind, Name: name})
	}
	for _, c := range []struct {
		what     string
		from, to compile.Pick
		want     string // one access a line
		lines    int    // of the table, its heading among them
	}{
		{"a node", compile.PickNode("n-ana-pc"), nil, "ana-pc>ehr ward", 3},
		{"a node with what is behind it", nil, compile.PickNode("n-gate"), "zoe-pc>10.1.0.0/16 it;zoe-pc>10.1.0.9/32 it;zoe-pc>gate it;zoe-tab>10.1.0.0/16 it;zoe-tab>10.1.0.9/32 it;zoe-tab>gate it", 4},
		{"a tag without what is behind it", nil, named(policy.Tag, "tag:gw"), "zoe-pc>gate it;zoe-tab>gate it", 2},
		{"a group", named(policy.Group, "group:it"), named(policy.Tag, "tag:ehr"), "zoe-pc>ehr ward;zoe-tab>ehr ward", 2},
		{"a login, to their own", named(policy.User, "zoe@h"), named(policy.User, "zoe@h"), "zoe-pc>zoe-tab own;zoe-tab>zoe-pc own", 2},
		{"an address behind a gateway", net("10.1.0.9/32"), nil, "10.1.0.9/32>ehr store", 2},
		{"an address that the policy does not tell from its network", named(policy.Group, "group:it"), net("10.1.7.7/32"), "zoe-pc>10.1.0.0/16 it;zoe-tab>10.1.0.0/16 it", 2},
		{"to an address behind a gateway", named(policy.User, "zoe@h"), net("10.1.0.9/32"), "zoe-pc>10.1.0.9/32 it;zoe-tab>10.1.0.9/32 it", 2},
		{"nobody", named(policy.User, "ana@h"), named(policy.Tag, "tag:gw"), "", 1},
	} {
		var got []string
		for a := range m.ReachBetween(c.from, c.to) {
			for _, from := range a.From {
				for _, to := range a.To {
					got = append(got, fmt.Sprintf("%s>%s %s", place(m, a.Src, from), place(m, a.Dst, to), a.Rules[0]))
				}
			}
		}
		slices.Sort(got)
		if strings.Join(got, ";") != c.want {
			t.Errorf("%s: %s\nwant %s", c.what, strings.Join(got, ";"), c.want)
		}
		if table := m.ReachTableBetween(c.from, c.to); strings.Count(table, "\n") != c.lines {
			t.Errorf("%s: the table is\n%s", c.what, table)
		}
	}
}

// place gives a node's name for its address.
func place(m *compile.Mesh, id string, p netip.Prefix) string {
	if n := m.Node(id); slices.Contains(n.Addrs, p.Addr()) && p.IsSingleIP() {
		return n.Name
	}
	return p.String()
}
