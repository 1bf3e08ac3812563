package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const halfYear = 180 * 24 * time.Hour

// proves signs a person in whose proof is so old.
func (m *mesh) proves(n *registry.Node, age time.Duration) registry.BeginSession {
	who := person("ana@clinic.example")
	who.At = m.now.Add(-age)
	return registry.BeginSession{ID: fmt.Sprint("s", m.state.Revision), Node: n.ID, Who: who, Life: shift, DeviceLife: halfYear}
}

// A person's machine has an end, which their proofs put off, each by its own age; a
// machine with tags has none. At its end it is admitted no more, sessions and all.
func TestMachinesHaveAnEnd(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	_, server := m.join("server", registry.CreateToken{Tags: []string{"tag:ehr"}})
	keep := registry.KeepDevices{Life: halfYear}
	if !keep.Due(m.state, m.now) {
		t.Fatal("a machine without an end is none that is due")
	}
	m.do(keep)
	if end := m.node(n.Name).Expires; !end.Equal(noon.Add(halfYear)) || !m.node(server.Name).Expires.IsZero() {
		t.Errorf("ends at %v, the server's %v", end, m.node(server.Name).Expires)
	}
	if m.do(keep).Changed || keep.Due(m.state, m.now) {
		t.Error("what has an end gets another")
	}
	m.now = noon.Add(time.Hour)
	if m.do(m.proves(n, time.Minute)); !m.node(n.Name).Expires.Equal(noon.Add(halfYear)) {
		t.Error("every sign-in is told to every peer")
	}
	m.now = noon.Add(100 * 24 * time.Hour)
	if m.do(m.proves(n, 10*24*time.Hour)); !m.node(n.Name).Expires.Equal(noon.Add(90*24*time.Hour + halfYear)) {
		t.Errorf("a proof that is ten days old keeps it until %v", m.node(n.Name).Expires)
	}
	m.now = m.node(n.Name).Expires.Add(-time.Hour)
	if s := m.do(m.proves(n, 300*24*time.Hour)).Session; !s.Until.Equal(m.node(n.Name).Expires) {
		t.Errorf("a session outlives its machine: until %v", s.Until)
	}
	m.now = m.node(n.Name).Expires
	m.do(keep)
	if now := m.node(n.Name); !now.Expired || m.state.Admitted(now) || !m.state.Admitted(m.node(server.Name)) {
		t.Errorf("at its end %+v", now)
	}
	if decoded, err := registry.DecodeState([]byte(m.encoded())); err != nil {
		t.Error(err)
	} else if back, _ := decoded.Node(n.ID); !back.Expired || !back.Expires.Equal(m.node(n.Name).Expires) {
		t.Errorf("read back %+v", back)
	}
}

// A22: what is over comes back by a proof of after its end alone, whether the end was
// noticed or not; an admin may end and renew it. A19: a restart resets nothing.
func TestExpiredMachineWantsAFreshProof_A19_A22(t *testing.T) {
	m := begin(t)
	_, n := m.join("laptop", registry.CreateToken{})
	m.do(registry.KeepDevices{Life: halfYear})
	m.do(m.proves(n, 0))
	m.now = noon.Add(time.Hour)
	if r := m.do(registry.ExpireNode{Node: n.Name}); r.Ended != 1 || m.state.Admitted(m.node(n.Name)) {
		t.Errorf("expired by an admin: %+v", r)
	}
	if m.do(registry.ExpireNode{Node: n.Name}).Changed {
		t.Error("expired twice")
	}
	m.now = noon.Add(2 * time.Hour)
	if err := m.refused(m.proves(n, 90*time.Minute), registry.ErrUser); !strings.Contains(err.Error(), "cordon login --afresh") {
		t.Error(err)
	}
	undated := m.proves(n, 0)
	undated.Who.Undated = true
	if err := m.refused(undated, registry.ErrUser); !strings.Contains(err.Error(), "does not say when") {
		t.Errorf("a proof of nobody knows when: %v", err)
	}
	m.do(registry.KeepDevices{Life: halfYear})
	if m.do(m.proves(n, time.Minute)); !m.state.Admitted(m.node(n.Name)) || !m.node(n.Name).Expires.After(m.now) {
		t.Errorf("after a fresh proof %+v", m.node(n.Name))
	}
	m.now = m.node(n.Name).Expires.Add(time.Hour) // nobody noticed yet
	m.refused(m.proves(n, 2*time.Hour), registry.ErrUser)
	m.do(m.proves(n, time.Minute))
	m.do(registry.ExpireNode{Node: n.Name})
	if m.do(registry.RenewNode{Node: n.Name, Life: time.Hour}); !m.state.Admitted(m.node(n.Name)) || !m.node(n.Name).Expires.Equal(m.now.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("renewed %+v", m.node(n.Name))
	}
	m.do(registry.TagNode{Node: n.Name, Tags: []string{"tag:ehr"}})
	m.refused(registry.ExpireNode{Node: n.Name}, registry.ErrInvalid)
	m.refused(registry.RenewNode{Node: n.Name}, registry.ErrInvalid)
	if now := m.node(n.Name); !now.Expires.IsZero() {
		t.Errorf("a server ends at %v", now.Expires)
	}
	m.refused(registry.KeepDevices{Life: registry.MaxDeviceLife + 1}, registry.ErrInvalid)
}
