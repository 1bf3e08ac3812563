package integration

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
	"github.com/cordonmesh/cordon/node/local"
)

// trusting lets a laboratory's machine, which will turn out to be a thief's,
// reach the record system too.
const trusting = `{
	"tagOwners": {"tag:ehr": ["nina@hospital.example"], "tag:lab": ["nina@hospital.example"]},
	"grants": [
		{"id": "records", "src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"]},
		{"id": "results", "src": ["tag:lab"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"]}]}`

// backup writes a sealed copy of the mesh, and gives its path.
func (s *scene) backup(name string) string {
	s.t.Helper()
	path := filepath.Join(s.Dir("backups"), name)
	s.Host("hub").MustRun(s.programs.Path("cordon-coordinator"), "backup", "--state", s.coordinator.State, path)
	return path
}

// restore brings a mesh back into a state directory.
func (s *scene) restore(recovery, backup, state string) (string, error) {
	s.t.Helper()
	return s.Host("hub").RunInput(s.t.Context(), recovery+"\n", s.programs.Path("cordon-coordinator"), "restore", "--yes", "--state", state, backup)
}

// lose takes a coordinator and its disk away, and gives where that went.
func (s *scene) lose(name string) string {
	s.t.Helper()
	s.coordinator.Process.Kill()
	away := filepath.Join(s.Dir("backups"), name)
	if err := os.Rename(s.coordinator.State, away); err != nil {
		s.t.Fatal(err)
	}
	return away
}

// heardFrom counts what a machine hears from an address, if its own filter let it.
func (s *scene) heardFrom(name string, from ...netip.Addr) *lab.Capture {
	s.t.Helper()
	var of []netip.Prefix
	for _, a := range from {
		of = append(of, netip.PrefixFrom(a, a.BitLen()))
	}
	return s.Host(name).Capture(tun, func(p []byte) bool {
		src := sourceOf(p)
		for _, o := range of {
			if o.Contains(src) {
				return true
			}
		}
		return false
	})
}

// knock sends to a machine for as long as the test lasts, whatever happens.
func (s *scene) knock(t *testing.T, from string, to netip.AddrPort) (knocks *atomic.Int64, stop func()) {
	t.Helper()
	conn, err := s.Host(from).Dial(t.Context(), "udp", to)
	if err != nil {
		t.Fatal(err)
	}
	knocks = new(atomic.Int64)
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer conn.Close()
		for {
			select {
			case <-end:
				return
			case <-time.After(every):
				conn.Write([]byte("let me in"))
				knocks.Add(1)
			}
		}
	}()
	return knocks, func() { close(end); <-done }
}

// A60: a mesh that is restored from an old backup comes back by itself, with a
// new incarnation and without an interrupted flow; who was revoked after the
// backup stays out, for the nodes bring the revocation; and the coordinator that
// was lost is not believed any more, should it come back.
func TestRestoredMeshRevivesNobody_A60(t *testing.T) {
	top := lab.Segment("hub", "ward", "ehr", "thief", "late")
	s := raiseOn(t, top, trusting, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"}, member{name: "thief", owner: "tag:lab"})
	if s == nil {
		return
	}
	ehr := s.at("ehr", 0)
	thief, thiefAt := s.nodes["thief"], s.at("thief", 0)
	flows := startStreams(t, s.Host("ward"), s.Host("ehr"), ehr[0].Addr(), ehr[1].Addr())
	s.answered("thief", ehr[0].Addr())
	backup := s.backup("monday")

	s.coordinator.Ctl("node", "remove", "thief")
	delete(s.nodes, "thief")
	late := s.join(member{name: "late", owner: "tag:lab"})
	s.settle()
	before := ask(t, s.admin.Status, &admin.StatusRequest{})
	heard := s.heardFrom("ehr", thiefAt[0].Addr(), thiefAt[1].Addr())
	knocks, stop := s.knock(t, "thief", netip.AddrPortFrom(ehr[0].Addr(), 5000))

	lost := s.lose("lost")
	s.refuseBadBackups(t, backup)
	if out, err := s.restore(s.coordinator.Recovery, backup, s.coordinator.State); err != nil {
		t.Fatalf("restoring: %v\n%s", err, out)
	}
	began := time.Now()
	s.coordinator.Start()
	delete(s.nodes, "late")
	s.comeBack(t, before, "thief")
	t.Logf("back %s after the restored coordinator answered", time.Since(began).Round(time.Millisecond))
	late.Wait("is told to enrol again", func(st *local.Status) bool {
		return strings.Contains(st.Coordinator.Error, "not in the mesh")
	})
	thief.Wait("is told that it was removed", func(st *local.Status) bool { return strings.Contains(st.Coordinator.Error, "removed") })
	flows.carry(t)

	// From disk alone the new incarnation holds too.
	s.lose("lost again")
	s.again("ward")
	flows.carry(t)
	s.rise(t, lost, "ward")
	flows.carry(t)
	select {
	case <-flows.ends[0]:
		t.Error("the restores ended a flow")
	default:
	}
	stop()
	if n := heard.Count(); n > 0 || knocks.Load() == 0 {
		t.Errorf("ehr heard %d packets of the thief's machine after its removal; it sent %d", n, knocks.Load())
	}
}

// comeBack waits until the restored mesh stands, above what it was before.
func (s *scene) comeBack(t *testing.T, before *admin.StatusResponse, out string) {
	t.Helper()
	lab.Eventually(t, patience, "the revoked node is out and the others are back", func() (bool, string) {
		nodes := ask(t, s.admin.ListNodes, &admin.ListNodesRequest{}).Nodes
		connected := 0
		for _, n := range nodes {
			if n.Name == out {
				return false, out + " is a node again"
			}
			if n.Connected {
				connected++
			}
		}
		return connected == len(s.nodes), fmt.Sprintf("%d are connected", connected)
	})
	s.settle()
	now := ask(t, s.admin.Status, &admin.StatusRequest{})
	if now.Incarnation <= before.Incarnation || now.Epoch < before.Epoch {
		t.Errorf("incarnation %d and epoch %d after %d and %d", now.Incarnation, now.Epoch, before.Incarnation, before.Epoch)
	}
	for name, d := range s.nodes {
		d.Wait("obeys the new incarnation", func(st *local.Status) bool {
			return st.Map.Incarnation == now.Incarnation && st.Coordinator.Connected
		})
		if st, err := d.Status(); err != nil || len(st.Warnings) > 0 {
			t.Errorf("%s warns of %v, %v", name, st.Warnings, err)
		}
	}
	if out := s.coordinator.Ctl("audit", "list", "--limit", "1000"); !strings.Contains(out, "revocation.take") || !strings.Contains(out, "mesh.incarnation") {
		t.Errorf("the audit tells neither of the revocation that came back nor of the new incarnation:\n%s", out)
	}
	if out := s.coordinator.Ctl("audit", "verify"); !strings.Contains(out, "whole") {
		t.Error(out)
	}
}

// again starts a daemon anew: it does not wait then before it calls.
func (s *scene) again(name string) {
	s.t.Helper()
	s.nodes[name].Process.Kill()
	s.nodes[name].Start()
}

// rise brings a lost coordinator back, of which a node must not take a word.
func (s *scene) rise(t *testing.T, lost, name string) {
	t.Helper()
	d := s.nodes[name]
	was, err := d.Status()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(lost, s.coordinator.State); err != nil {
		t.Fatal(err)
	}
	s.coordinator.Start()
	s.again(name)
	now := d.Wait("refuses the lost coordinator's map, and says why", func(st *local.Status) bool {
		return strings.Contains(strings.Join(st.Warnings, "\n"), "cordon-coordinator restore")
	})
	if now.Map.Incarnation != was.Map.Incarnation || now.Map.Revision != was.Map.Revision {
		t.Errorf("%s went from incarnation %d, revision %d to %d, %d", name, was.Map.Incarnation, was.Map.Revision, now.Map.Incarnation, now.Map.Revision)
	}
}

// refuseBadBackups: nothing is restored from half a backup, a changed one, with
// another key, or over what is there; and nothing is left of the attempt.
func (s *scene) refuseBadBackups(t *testing.T, backup string) {
	t.Helper()
	good, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	dir := s.Dir("backups")
	bad := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	changed := append([]byte(nil), good...)
	changed[len(changed)/2] ^= 1
	// A key of the right form, that nothing is sealed to.
	const foreign = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	for name, do := range map[string][2]string{
		"half a backup":                  {s.coordinator.Recovery, bad("half", good[:len(good)/2])},
		"a backup without its last byte": {s.coordinator.Recovery, bad("short", good[:len(good)-1])},
		"a changed backup":               {s.coordinator.Recovery, bad("changed", changed)},
		"another recovery key":           {foreign, backup},
		"no recovery key":                {"", backup},
	} {
		state := filepath.Join(dir, "state")
		out, err := s.restore(do[0], do[1], state)
		if err == nil {
			t.Errorf("%s is restored:\n%s", name, out)
		}
		if left, _ := filepath.Glob(state + "*"); len(left) > 0 {
			t.Errorf("%s leaves %v", name, left)
		}
		if strings.Contains(out, "SECRET-KEY") {
			t.Errorf("%s: the recovery key is printed:\n%s", name, out)
		}
	}
	if out, err := s.restore(s.coordinator.Recovery, backup, dir); err == nil {
		t.Errorf("it is restored over what is there:\n%s", out)
	}
}
