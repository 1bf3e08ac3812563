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
