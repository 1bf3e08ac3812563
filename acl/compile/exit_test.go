package compile_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/cordonmesh/cordon/acl/compile"
)

// What is forbidden is so at an exit node too, from the moment in which the first
// node of what is forbidden comes, though the exit node has nothing of it.
func TestForbidsComeToExitNodes(t *testing.T) {
	pol := parse(t, `{"tagOwners": {"tag:cctv": [], "tag:exit": []}, "acls": [{"action": "accept", "src": ["ada@h"], "dst": ["tag:exit:22"]}],
		"forbid": [{"src": ["autogroup:member"], "dst": ["tag:cctv"]}]}`)
	nodes := []compile.Node{
		{ID: "laptop", User: "ada@h", Addrs: []netip.Addr{addr("100.64.0.1")}},
		{ID: "exit", Tags: []string{"tag:exit"}, Addrs: []netip.Addr{addr("100.64.0.2")}, Routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		{ID: "camera", Tags: []string{"tag:cctv"}, Addrs: []netip.Addr{addr("100.64.0.3")}},
	}
	m, fresh := compile.New(pol, ranges()), compile.New(pol, ranges())
	m.Load(nodes[:2])
	if got := m.Rules("exit").ForbidIn; len(got) > 0 {
		t.Errorf("with no camera %v is forbidden", got)
	}
	change := changeOf(m.Put(nodes[2]))
	fresh.Load(nodes)
	got, want := clone(m.Rules("exit")), clone(fresh.Rules("exit"))
	if !reflect.DeepEqual(got, want) || len(got.ForbidIn) != 1 || !change["exit"].rules {
		t.Errorf("with a camera %v, want %v, told of by %v", got, want, change)
	}
}
