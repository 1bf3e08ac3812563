package registry_test

import (
	"fmt"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

func (b *machine) joining(id string, who registry.Identity) registry.Join {
	e := b.enrol("", "Laptop.local")
	return registry.Join{Machine: registry.Machine{Key: e.Key, Name: e.Name, Statement: e.Statement, OS: e.OS, Version: e.Version},
		Session: registry.BeginSession{ID: id, Who: who, Life: shift}}
}

// Who proves who they are at a machine owns it, and sits there; it has no tags, and
// waits unless somebody said otherwise. The same once more gives the same node.
func TestMachineJoins(t *testing.T) {
	m := begin(t)
	box := newMachine()
	n := m.do(box.joining("s1", person("ana@clinic.example", "Nurses"))).Node
	if n.User != "ana@clinic.example" || n.Owner() != n.User || len(n.Tags) > 0 || n.Approved || n.Token != "" || n.Name != "laptop" || len(n.Addresses) != 2 {
		t.Fatalf("%+v", n)
	}
	if p := n.Proof; p == nil || p.Login != n.User || p.Issuer == "" || len(p.AMR) != 2 || p.ACR != "urn:loa:2" {
		t.Errorf("proof %+v", n.Proof)
	}
	if all := m.state.SessionsAt(n.ID); len(all) != 1 || all[0].Login != n.User {
		t.Errorf("sessions %+v", all)
	}
	if m.state.Admitted(n) {
		t.Error("a machine that waits is admitted")
	}
	if again := m.do(box.joining("s2", person("ana@clinic.example"))); again.Changed || again.Node.ID != n.ID {
		t.Errorf("again: %+v", again)
	}
	open := newMachine().joining("s3", person("ana@clinic.example"))
	open.Approved = true
	if n := m.do(open).Node; !m.state.Admitted(n) || n.Name != "laptop-2" {
		t.Errorf("%+v", n)
	}
	if decoded, err := registry.DecodeState([]byte(m.encoded())); err != nil || decoded.NodeCount() != 2 {
		t.Errorf("read back: %v", err)
	}
}

// A14, A18, A19: a key that is somebody's, or was, is not taken over by a sign-in;
// who is shut out joins nothing; a stolen login does not use the mesh's addresses up.
func TestJoinIsRefused_A14_A18_A19(t *testing.T) {
	m := begin(t)
	box, _ := m.join("hers", registry.CreateToken{})
	server, _ := m.join("server", registry.CreateToken{Tags: []string{"tag:ehr"}})
	joined := newMachine()
	n := m.do(joined.joining("s1", person("ana@clinic.example"))).Node
	for what, c := range map[string]registry.Join{
		"the owner, of a machine with a token": box.joining("s2", person("ana@clinic.example")),
		"another":                              box.joining("s2", person("eve@clinic.example")),
		"a server":                             server.joining("s2", person("ana@clinic.example")),
		"another, of one that joined":          joined.joining("s2", person("eve@clinic.example")),
	} {
		if err := m.refused(c, registry.ErrKnownKey); len(m.last.Records) != 1 {
			t.Errorf("%s: %v, and the audit has %+v", what, err, m.last.Records)
		}
	}
	m.do(registry.RejectNode{Node: n.ID})
	m.refused(joined.joining("s2", person("ana@clinic.example")), registry.ErrRevokedKey)
	m.do(registry.DisableUser{User: "ben@clinic.example"})
	m.refused(newMachine().joining("s2", person("ben@clinic.example")), registry.ErrUser)
	for i := range registry.MaxJoined {
		m.do(newMachine().joining(fmt.Sprint("s", i), person("cat@clinic.example")))
	}
	m.refused(newMachine().joining("s", person("cat@clinic.example")), registry.ErrUser)
	m.do(newMachine().joining("s", person("dan@clinic.example")))
}

// A machine that an admin made a server is nobody's to claim again.
func TestTaggedMachineDoesNotJoinAgain_A19(t *testing.T) {
	m := begin(t)
	box := newMachine()
	n := m.do(box.joining("s1", person("ana@clinic.example"))).Node
	m.do(registry.TagNode{Node: n.ID, Tags: []string{"tag:ehr"}})
	m.refused(box.joining("s2", person("ana@clinic.example")), registry.ErrKnownKey)
}

// A17, A18, A22: one of the coordinator's own makes a machine theirs, and operates, by a
// proof of now: not by one from before a reset, nor with groups that were taken since.
func TestLocalPersonJoinsAndOperates_A17_A22(t *testing.T) {
	m := staff(t, nil)
	u := m.add("ana@clinic.example", "Doctors")
	m.do(byPassword("link-ana@clinic.example"))
	who, _ := m.state.LocalIdentity(u.ID, m.now, []string{"mfa", "otp", "pwd"})
	m.do(registry.GroupLocal{User: u.Login})
	n := m.do(newMachine().joining("s1", who)).Node
	if n.User != u.Login || n.Proof == nil || n.Proof.Issuer != registry.LocalIssuer || len(m.state.SessionsAt(n.ID)) != 1 {
		t.Errorf("joined %+v", n)
	}
	operate := registry.BeginAdmin{ID: "a1", Secret: registry.HashSecret("a1"), Who: who, Life: shift}
	m.refused(operate, registry.ErrForbidden)
	m.do(registry.GrantRole{User: u.Login, Role: "auditor"})
	if r := m.do(operate); r.Token.Holder != u.ID {
		t.Errorf("operates by %+v", r.Token)
	}
	if now, _ := m.state.User(u.ID); len(now.Groups) != 0 {
		t.Errorf("groups that were taken are back: %v", now.Groups)
	}
	m.do(registry.ResetLocal{User: u.Login, Link: registry.HashSecret("anew"), Life: day})
	operate.ID, operate.Secret = "a2", registry.HashSecret("a2")
	m.refused(operate, registry.ErrUser)
	m.refused(newMachine().joining("s2", who), registry.ErrUser)
}
