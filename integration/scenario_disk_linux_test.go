package integration

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
)

// raiseOnDisk makes a mesh whose coordinator has a disk of its own.
func raiseOnDisk(t *testing.T, kib int, policy string, members ...member) *scene {
	t.Helper()
	if !lab.Require(t) {
		return nil
	}
	names := []string{"hub", "late"}
	for _, m := range members {
		names = append(names, m.name)
	}
	s := &scene{t: t, programs: lab.Build(t), nodes: map[string]*lab.Daemon{}}
	s.Lab = lab.Up(t, lab.Segment(names...))
	s.SmallDisk("hub-coordinator", kib) // where StartCoordinator makes its state
	s.found(policy, members...)
	return s
}

// fill takes all the space that is left, and gives what frees it.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for block := bytes.Repeat([]byte{1}, size); err == nil; {
			_, err = f.Write(block)
		}
		err = nil
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// refusedForSpace changes things until no space is left even where the store
// had some, and wants the refusal to say so. It gives what was acknowledged.
func (s *scene) refusedForSpace(t *testing.T) (tokens int) {
	t.Helper()
	for range 200 {
		out, err := s.coordinator.TryCtl("", "token", "create", "--tag", "tag:lab")
		if err == nil {
			tokens++
			continue
		}
		if !strings.Contains(err.Error(), "space") || !strings.Contains(err.Error(), "nothing was changed") {
			t.Fatalf("a change without space is refused with %q %v", out, err)
		}
		return tokens
	}
	t.Fatal("200 changes fit on a full disk")
	return 0
}

// F03: with its disk full the coordinator refuses changes, clearly and wholly;
// maps, tunnels and answers go on; with space again it goes on by itself.
func TestFullDiskStopsChangesAndNothingElse_F03(t *testing.T) {
	s := raiseOnDisk(t, 6<<10, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	var at []netip.Addr
	for _, a := range s.at("ehr", 0) {
		at = append(at, a.Addr())
	}
	flows := startStreams(t, s.Host("ward"), s.Host("ehr"), at...)
	enrolment := s.coordinator.Token("tag:lab")
	had := len(ask(t, s.admin.ListTokens, &admin.ListTokensRequest{}).Tokens)
	free := fill(t, s.coordinator.State)
	made := s.refusedForSpace(t)
	was := s.account(t)

	if out, err := s.coordinator.TryCtl(shut, "policy", "set", "--yes", "-"); err == nil || !strings.Contains(err.Error(), "space") {
		t.Errorf("a policy without space for it: %v %s", err, out)
	}
	late := s.programs.StartDaemon(s.Host("late"))
	if out, err := late.TryCLI(enrolment+"\n", "up", "--name", "late"); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("joining without space for it: %v %s", err, out)
	}
	if now := s.account(t); now != was {
		t.Errorf("refused changes changed this\n%s\ninto\n%s", was, now)
	}
	if out := s.coordinator.Ctl("audit", "verify"); !strings.Contains(out, "whole") {
		t.Error(out)
	}
	// A node that starts meanwhile gets its map, and its flows.
	s.nodes["ward"].Process.Kill()
	s.nodes["ward"].Start()
	s.settle()
	flows.carry(t)

	free()
	s.recovers(t)
	late.Up(enrolment)
	s.nodes["late"] = late
	s.settle()
	if n := len(ask(t, s.admin.ListTokens, &admin.ListTokensRequest{}).Tokens); n != had+made+1 {
		t.Errorf("%d tokens, want the %d that were acknowledged", n, had+made+1)
	}
	flows.ended(t, s.setPolicy(shut)) // an acknowledged change is enforced again
}

// recovers wants changes to be taken again, and all of it still to be whole.
func (s *scene) recovers(t *testing.T) {
	t.Helper()
	lab.Eventually(t, patience, "the coordinator writes again", func() (bool, string) {
		out, err := s.coordinator.TryCtl("", "token", "create", "--tag", "tag:lab")
		return err == nil, fmt.Sprint(err, out)
	})
	if out := s.coordinator.Ctl("audit", "verify"); !strings.Contains(out, "whole") {
		t.Error(out)
	}
}

// F03: killed on a full disk, the coordinator either serves or says why not,
// and with space again nothing is lost.
func TestCoordinatorKilledOnAFullDisk_F03(t *testing.T) {
	s := raiseOnDisk(t, 6<<10, clinic)
	if s == nil {
		return
	}
	free := fill(t, s.coordinator.State)
	s.refusedForSpace(t)
	was := s.account(t)
	s.coordinator.Process.Kill()
	d := &damaged{scene: s}
	if said, refused := d.start(t); refused && !strings.Contains(said, "space") {
		t.Errorf("on a full disk it does not start, and says\n%s", said)
	} else if !refused {
		s.coordinator.Process.Kill()
		t.Log("it starts on a full disk")
	}
	free()
	if said, refused := d.start(t); refused {
		t.Fatalf("with space again it does not start:\n%s", said)
	}
	if now := s.account(t); now != was {
		t.Errorf("it was\n%s\nand is\n%s", was, now)
	}
	s.recovers(t)
}
