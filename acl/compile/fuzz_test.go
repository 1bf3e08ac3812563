package compile_test

import (
	"net/netip"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// FuzzCompile compiles whatever policy parses, and changes a mesh to it and
// back: what was there before must be there again.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(policy.Starter()))
	f.Add([]byte(clinicText(`"grants": [{"id": "x", "src": ["group:nurses", "*"], "dst": ["vlan", "tag:ehr", "autogroup:tagged"], "ip": ["tcp:22", "*"]}],
"acls": [{"action": "accept", "src": ["0.0.0.0/0", "::/0"], "dst": ["0.0.0.0/0:*", "::/0:*"]}, {"action": "accept", "src": ["*"], "dst": ["autogroup:self:22", "*:*"]}],
"tests": [{"src": "0.0.0.0/0", "deny": ["tag:ehr:22"]}, {"src": "autogroup:member", "accept": ["autogroup:self:22", "10.33.1.5:1"]}],
"autoApprovers": {"routes": {"10.0.0.0/8": ["tag:gw"]}, "exitNode": ["tag:gw"]}`)))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<12 {
			return
		}
		pol, _, err := policy.Parse("f", src)
		if err != nil {
			return
		}
		m := compile.New(nil, ranges())
		m.Load(clinicNodes())
		m.SetPolicy(pol)
		m.Test(t.Context())
		table := m.ReachTable()
		for a := range m.Reach() {
			if !m.Sees(a.Src, a.Dst) {
				t.Fatalf("%s reaches %s and does not see it", a.Src, a.Dst)
			}
			e := m.Explain(a.From[0].Addr(), sameFamily(a.From[0], a.To), a.Open[0].Protocol, max(a.Open[0].First, 1))
			if !e.Allow {
				t.Fatalf("%+v, but %s", a, e.Text)
			}
		}
		gw := clinicNodes()[5]
		m.Remove(gw.ID)
		m.Put(gw)
		if again := m.ReachTable(); again != table {
			t.Fatalf("leaving and joining changed\n%s\nto\n%s", table, again)
		}
		m.SetPolicy(nil)
		if m.Allowed(gw.Addrs[0], gw.Addrs[0], acl.TCP, 22) {
			t.Fatal("open without a policy")
		}
	})
}

func sameFamily(p netip.Prefix, all []netip.Prefix) netip.Addr {
	for _, q := range all {
		if q.Addr().Is4() == p.Addr().Is4() {
			return q.Addr()
		}
	}
	return netip.Addr{}
}
