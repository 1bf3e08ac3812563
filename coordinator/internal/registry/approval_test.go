package registry_test

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// A17: whoever lets a machine in by its fingerprint lets in that machine and no
// other, however the fingerprint was written down; a part of one is not enough.
func TestApprovalByFingerprint_A17(t *testing.T) {
	m := begin(t)
	box, n := m.join("laptop", registry.CreateToken{NeedsApproval: true})
	other := newMachine()
	for _, wrong := range []string{other.id(), box.id()[:12], "n-", box.id() + "0"} {
		m.refused(registry.ApproveNode{Node: n.Name, Fingerprint: wrong}, registry.ErrInvalid)
		if len(m.last.Records) != 1 || m.last.Records[0].Action != "node.approve" {
			t.Errorf("the audit does not know of the attempt with %q: %+v", wrong, m.last.Records)
		}
	}
	heard := strings.ToUpper(strings.TrimPrefix(box.id(), "n-"))
	m.do(registry.ApproveNode{Node: n.Name, Fingerprint: heard[:4] + " " + heard[4:8] + "-" + heard[8:]})
	if now, _ := m.state.Node(n.ID); !now.Approved {
		t.Error("the right fingerprint let nobody in")
	}
}

// Who was turned away does not come back; who is in is not turned away by mistake.
func TestRejectedNodeStaysOut_A12(t *testing.T) {
	m := begin(t)
	box, n := m.join("laptop", registry.CreateToken{NeedsApproval: true})
	_, in := m.join("server", registry.CreateToken{})
	m.refused(registry.RejectNode{Node: in.Name}, registry.ErrInvalid)
	m.do(registry.RejectNode{Node: n.Name})
	if _, there := m.state.Node(n.ID); there {
		t.Error("the node is still there")
	}
	m.token("again", registry.CreateToken{})
	m.refused(box.enrol("again", "laptop"), registry.ErrRevokedKey)
}

// A21: a node that is in is shut out, whoever's it is, without an end of its key: nobody is
// its peer, and nobody is signed in there, until it is let in again; and what it does itself
// changes nothing about it.
func TestHeldNodeWaits_A21(t *testing.T) {
	m := begin(t)
	box, server := m.join("pacs", registry.CreateToken{Tags: []string{"tag:pacs"}})
	_, laptop := m.join("laptop", registry.CreateToken{User: "ana@clinic.example"})
	m.signIn("s", laptop, person("ana@clinic.example"))
	for _, n := range []*registry.Node{server, laptop} {
		if m.do(registry.HoldNode{Node: n.Name}); m.state.Admitted(m.node(n.Name)) || len(m.state.SessionsAt(n.ID)) > 0 {
			t.Errorf("%s is shut out: %+v, with sessions %v", n.Name, m.node(n.Name), m.state.SessionsAt(n.ID))
		}
		if m.last.Records[0].Action != "node.hold" || m.do(registry.HoldNode{Node: n.Name}).Changed {
			t.Errorf("%s is held twice, or the audit tells %+v", n.Name, m.last.Records)
		}
	}
	m.do(registry.Report{Node: server.ID, Statement: box.statement(2), OS: "linux", Version: "2"})
	m.do(registry.TagNode{Node: server.Name, Tags: []string{"tag:ehr"}})
	if m.state.Admitted(m.node(server.Name)) {
		t.Error("it is in again, and nobody let it in")
	}
	if m.do(registry.ApproveNode{Node: server.Name}); !m.state.Admitted(m.node(server.Name)) || m.node(server.Name).ID != server.ID {
		t.Errorf("let in again it is %+v", m.node(server.Name))
	}
	m.do(registry.RejectNode{Node: laptop.Name})
	if _, there := m.state.Node(laptop.ID); there {
		t.Error("one that is shut out cannot be turned away for good")
	}
}
