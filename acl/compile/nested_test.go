package compile_test

import (
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
)

// Routes of several gateways may nest. Each prefix, and each part of one that
// the policy names, belongs to the gateway that carries it most precisely, and
// to nobody else: a map with two owners of a prefix would be refused.
func TestNestedRoutesHaveOneOwnerEach(t *testing.T) {
	pol := parse(t, `{"tagOwners": {"tag:gw": ["a@h.example"]}, "grants": [
		{"src": ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.3.0/24", "10.1.2.7"], "dst": ["*"], "ip": ["*"]}]}`)
	m := compile.New(pol, nil)
	gateway := func(id, addr string, routes ...string) {
		n := compile.Node{ID: id, Tags: []string{"tag:gw"}, Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
		for _, r := range routes {
			n.Routes = append(n.Routes, netip.MustParsePrefix(r))
		}
		m.Put(n)
	}
	gateway("wide", "100.64.0.1", "10.0.0.0/8", "10.1.2.0/24")
	gateway("narrow", "100.64.0.2", "10.1.0.0/16")
	owner := map[string]string{}
	for _, id := range []string{"wide", "narrow"} {
		for _, p := range m.Prefixes(id) {
			if other, ok := owner[p.Prefix.String()]; ok {
				t.Errorf("%s is both %s's and %s's", p.Prefix, other, id)
			}
			owner[p.Prefix.String()] = id
		}
	}
	for prefix, want := range map[string]string{
		"10.0.0.0/8": "wide", "10.1.0.0/16": "narrow", "10.1.2.0/24": "wide", "10.1.2.7/32": "wide", "10.1.3.0/24": "narrow",
	} {
		if owner[prefix] != want {
			t.Errorf("%s is %q's, want %s's", prefix, owner[prefix], want)
		}
	}
}
