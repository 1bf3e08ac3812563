package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// copyState gives a machine a copy of another one's state directory, as the
// clone of a virtual machine has, and starts its daemon.
func (s *scene) copyState(t *testing.T, from *lab.Daemon, to string) *lab.Daemon {
	t.Helper()
	dir := s.Dir(to + "-node")
	for name, content := range files(t, from.State) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s.programs.StartDaemon(s.Host(to))
}

// warnings gives what the coordinator warns of a node.
func (s *scene) warnings(t *testing.T, node string) string {
	t.Helper()
	return strings.Join(ask(t, s.admin.GetNode, &admin.GetNodeRequest{Node: node}).Node.Warnings, "\n")
}

// A21, F47: one state directory on two machines is noticed within seconds, and
// operators are told from where both come; a daemon that merely starts again is
// no such thing. Removing the node ends both.
func TestOneIdentityOnTwoMachinesIsNoticed_A21_F47(t *testing.T) {
	s := raiseOn(t, lab.Segment("hub", "ward", "twin", "ehr"), clinic,
		member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	ward := s.nodes["ward"]
	s.serve("ehr", 443)
	for range 4 { // no false alarm, however it ends and comes back
		ward.Process.Kill()
		ward.Start()
		s.settle()
		if err := ward.Process.Stop(patience); err != nil {
			t.Fatal(err)
		}
		ward.Start()
		s.settle()
	}
	if w := s.warnings(t, "ward"); w != "" {
		t.Fatalf("a daemon that starts again is warned of: %s", w)
	}

	began := time.Now()
	twin := s.copyState(t, ward, "twin")
	lab.Eventually(t, patience, "operators are warned of two machines", func() (bool, string) {
		w := s.warnings(t, "ward")
		return strings.Contains(w, "two machines use this node's key"), w
	})
	t.Logf("noticed %s after the second machine began to start", time.Since(began).Round(time.Millisecond))
	out := s.coordinator.Ctl("node", "list")
	for _, want := range []string{"warning: ward", "10.77.0.2", "10.77.0.3", "remove the node"} {
		if !strings.Contains(out, want) {
			t.Errorf("`node list` does not say %q:\n%s", want, out)
		}
	}
	if w := s.warnings(t, "ehr"); w != "" {
		t.Errorf("ehr is warned of: %s", w)
	}

	s.coordinator.Ctl("node", "remove", "ward")
	delete(s.nodes, "ward")
	s.settle()
	for _, d := range []*lab.Daemon{ward, twin} {
		d.Wait("is told that it was removed", func(st *local.Status) bool {
			return !st.Coordinator.Connected && strings.Contains(st.Coordinator.Error, "removed")
		})
	}
	// A removed key never comes back; the machine does, with a new one.
	s.rejoins(t, twin)
}

// rejoins forgets what the machine was, and joins it anew.
func (s *scene) rejoins(t *testing.T, d *lab.Daemon) {
	t.Helper()
	if err := d.Process.Stop(patience); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d.State); err != nil {
		t.Fatal(err)
	}
	s.Dir(filepath.Base(d.State))
	d.Start()
	d.Up(s.coordinator.Token("nina@hospital.example"))
	s.nodes[d.Name] = d
	s.settle()
	s.served(d.Name, "tcp", s.at("ehr", 443)[0])
	if w := s.warnings(t, d.Name); w != "" {
		t.Error(fmt.Sprint("the machine that joined anew is warned of: ", w))
	}
}
