package compile_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
)

// A node whose address is in no range of the mesh is a source for * only while somebody
// routes what is around it: that it is told of itself when the route comes and goes.
func TestRouteComesAroundAnAddress(t *testing.T) {
	m := clinic(t, `"grants": [{"src": ["*"], "dst": ["tag:db"], "ip": ["tcp:22"]}, {"src": ["tag:db"], "dst": ["tag:ehr"], "ip": ["tcp:22"]}]`)
	stray := compile.Node{ID: "stray", Tags: []string{"tag:ehr"}, Addrs: []netip.Addr{netip.MustParseAddr("10.77.1.1")}}
	gateway := compile.Node{ID: "gateway", Addrs: []netip.Addr{netip.MustParseAddr("100.64.0.77")}}
	m.Put(stray)
	m.Put(gateway)
	for _, routes := range [][]netip.Prefix{{netip.MustParsePrefix("10.77.0.0/16")}, nil} {
		gateway.Routes = routes
		views := changeOf(m.Put(gateway))
		if v := views["stray"]; !v.self || !v.rules || !m.Sees("stray", "id-db") {
			t.Errorf("with routes %v the node there is told %+v", routes, v)
		}
		if v := views["id-db"]; !slices.Contains(v.upserted, "stray") {
			t.Errorf("with routes %v its peer is told %+v", routes, v)
		}
	}
}
