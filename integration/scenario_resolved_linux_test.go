package integration

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// A machine's programs find the mesh's names by a real systemd-resolved, which
// asks nobody else for them and the node for no other; and when the daemon is
// killed, its resolver is what it was before.
func TestNamesByARealResolvedGoWithTheInterface(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, lab.Segment("hub", "ward", "ehr", "lab"))
	hub := s.Host("hub")
	upstream := hub.ServeNames(hub.Addr4(), map[string]netip.Addr{"www.example.": netip.MustParseAddr("192.0.2.80")})
	resolved := s.Host("ward").StartResolved(hub.Addr4())
	before := resolved.Settings()
	s.found(dnsClinic, clinicNames("auto")...)
	ward, ehr := s.nodes["ward"], s.nodes["ehr"]
	ward.Wait("names are answered", func(st *local.Status) bool { return st.Names.Via == "systemd-resolved" && st.Names.Problem == "" })

	const peer, hidden, other = "ahostsv4 ehr.mesh.internal", "ahostsv4 lab.mesh.internal", "ahostsv4 www.example"
	for args, want := range map[string]string{
		peer:                            ehr.Mesh4().String() + " STREAM ehr.mesh.internal",
		"ahostsv6 ehr.mesh.internal":    ehr.Mesh6().String() + " STREAM ehr.mesh.internal",
		"hosts " + ehr.Mesh4().String(): ehr.Mesh4().String() + " ehr.mesh.internal",
		"hosts " + ehr.Mesh6().String(): ehr.Mesh6().String() + " ehr.mesh.internal",
		"ahostsv4 ward.mesh.internal":   ward.Mesh4().String() + " STREAM ward.mesh.internal",
		hidden:                          "",
		other:                           "192.0.2.80 STREAM www.example",
	} {
		if got := s.lookup("ward", strings.Fields(args)...); got != want {
			t.Errorf("getent %s: %q, want %q", args, got, want)
		}
	}
	for name, n := range upstream.Asked() {
		if name != "www.example." {
			t.Errorf("the name server of the ward's network was asked %d times for %s", n, name)
		}
	}
	if with := resolved.Settings(); !strings.Contains(with, "("+tun+"): ~mesh.internal") {
		t.Errorf("with the daemon systemd-resolved says\n%s", with)
	}

	ward.Process.Kill()
	lab.Eventually(t, patience, "systemd-resolved is as before", func() (bool, string) {
		after := resolved.Settings()
		return after == before, "before\n" + before + "after\n" + after
	})
	if got := s.lookup("ward", strings.Fields(other)...); got != "192.0.2.80 STREAM www.example" {
		t.Errorf("after the daemon was killed, www.example is %q", got)
	}
	if got := s.lookup("ward", strings.Fields(peer)...); got != "" || upstream.Asked()["ehr.mesh.internal."] == 0 {
		t.Errorf("after the daemon was killed, a peer is %q, and the server of the ward's network was asked %v: want it asked, as before", got, upstream.Asked())
	}
}
