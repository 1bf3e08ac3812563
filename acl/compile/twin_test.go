package compile_test

import (
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// What is forbidden at one address of a machine is so at the other, as source and as
// destination: names lead to both, and who is shut out would take the one left open.
func TestForbidsHoldForAllOfAMachine(t *testing.T) {
	for _, forbid := range []string{
		`{"src": ["*"], "dst": ["ehr-box"]}`, `{"src": ["*"], "dst": ["fd7a::2"]}`, `{"src": ["*"], "dst": ["ipset:boxes"]}`, `{"src": ["*"], "dst": ["seg:ehr"]}`,
		`{"src": ["100.64.0.1"], "dst": ["tag:ehr"]}`, `{"src": ["fd7a::1"], "dst": ["tag:ehr"]}`,
	} {
		m := compile.New(parse(t, `{"tagOwners": {"tag:ehr": [], "tag:cart": []}, "hosts": {"ehr-box": "100.64.0.2"}, "ipsets": {"ipset:boxes": ["100.64.0.2/31"]},
			"groups": {"group:it": ["ada@h"]}, "segments": {"seg:ehr": {"members": ["100.64.0.2"], "owner": "group:it"}},
			"grants": [{"src": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["tcp:443"]}], "forbid": [`+forbid+`]}`), ranges())
		m.Load([]compile.Node{
			{ID: "cart", Tags: []string{"tag:cart"}, Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2")},
			{ID: "other", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.4", "fd7a::4")}, {ID: "cart2", Tags: []string{"tag:cart"}, Addrs: two("100.64.0.5", "fd7a::5")},
		})
		for _, flow := range [][2]string{{"100.64.0.1", "100.64.0.2"}, {"fd7a::1", "fd7a::2"}} {
			if m.Allowed(addr(flow[0]), addr(flow[1]), acl.TCP, 443) {
				t.Errorf("%s lets %s reach %s", forbid, flow[0], flow[1])
			}
		}
		if !m.Allowed(addr("fd7a::5"), addr("fd7a::4"), acl.TCP, 443) {
			t.Errorf("%s forbids what it does not name", forbid)
		}
	}
}

func two(v4, v6 string) []netip.Addr { return []netip.Addr{addr(v4), addr(v6)} }
