package coordinator_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/sqlite"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// took writes a policy into a store as a version of the program did that took it,
// until somebody confirms it, or for good.
func took(t *testing.T, stateDir, text string, until time.Time) (revision uint64) {
	t.Helper()
	journal, err := sqlite.Open(t.Context(), filepath.Join(stateDir, "cordon.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	r, err := registry.New(t.Context(), journal, registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	revision = r.Snapshot().Revision + 1
	entry := registry.Entry{Revision: revision, Time: time.Now().UTC().Truncate(time.Millisecond),
		Event: registry.PolicySet{File: "policy.hujson", Text: text, Author: registry.Operator("ana"), Until: until}}
	draft := audit.Draft{Time: entry.Time, Actor: "operator:ana", Action: "policy.set", Object: "policy.hujson"}
	if err := journal.Append(t.Context(), revision-1, []registry.Entry{entry}, []audit.Draft{draft}); err != nil {
		t.Fatal(err)
	}
	return revision
}

// illJudged has a meaning, and this version of the program takes it from nobody.
const illJudged = `{
	"tagOwners": {"tag:test": []},
	"segments": {"seg:life": {"members": ["tag:test"], "impact": "life", "owner": "autogroup:owner"}},
	"grants": [
		{"id": "pumps", "src": ["tag:test"], "dst": ["tag:test"], "ip": ["tcp:443"], "log": "drops"},
	],
	"tests": [{"src": "tag:gone", "accept": ["tag:test:443"]}, {"src": "tag:test", "accept": ["tag:test:443"]}],
}`

// senseless has no meaning: nobody knows who may come in.
const senseless = `{"tagOwners": {"tag:test": []}, "grants": [{"src": ["group:who"], "dst": ["tag:test"], "ip": ["tcp:443"]}]}`

const mended = `{
	"tagOwners": {"tag:test": []}, "autoApprovers": {"routes": {"10.20.0.0/16": ["tag:test"]}},
	"grants": [{"id": "pumps", "src": ["tag:test"], "dst": ["tag:test"], "ip": ["tcp:443"]}],
}`

func (r *running) allows(from, to *machine) bool {
	r.t.Helper()
	resp, err := r.root.ExplainPolicy(r.t.Context(), connect.NewRequest(&admin.ExplainPolicyRequest{Src: from.id, Dst: to.id, Protocol: "tcp", Port: 443}))
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.Msg.Allow
}

// What an earlier version took, and this one would refuse though it has a meaning, is
// obeyed after the upgrade, and nobody can overlook it.
func TestUpgradeTakesNoPolicyOutOfForce(t *testing.T) {
	r := begin(t, nil)
	_, secret := r.token(enrolToken())
	one, other := r.enrol(secret), r.enrol(secret)
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: illJudged})); err == nil {
		t.Fatal("it is no policy that this version refuses")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	revision := took(t, r.config.StateDir, illJudged, time.Time{})
	again := serve(t, r.config)
	again.founded = r.founded
	if !again.allows(one, other) || again.status().PolicyRevision != revision {
		t.Error("the mesh lost its policy by the upgrade")
	}
	got, err := again.root.GetPolicy(t.Context(), connect.NewRequest(&admin.GetPolicyRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range got.Msg.Problems {
		said = append(said, p.Message)
	}
	if len(said) != 2 || !strings.Contains(said[0], "would be refused today: is too little for seg:life") || !strings.Contains(said[1], "tag not found") {
		t.Errorf("get says %q", said)
	}
	edits, err := again.root.LogPolicy(t.Context(), connect.NewRequest(&admin.LogPolicyRequest{Limit: 1}))
	if err != nil || edits.Msg.Edits[0].Problems != 2 {
		t.Errorf("log says %v, %v", edits, err)
	}
	warned, err := again.root.ListWarnings(t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
	if err != nil || len(warned.Msg.Warnings) != 1 || warned.Msg.Warnings[0].Until != 0 || !strings.Contains(warned.Msg.Warnings[0].Text, "would be refused today for 2 things") {
		t.Errorf("warnings say %v, %v", warned, err)
	}
	for deadline := time.Now().Add(time.Minute); len(again.log.with("something is amiss")) != 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the log does not say so")
		}
	}
	tested, err := again.root.TestPolicy(t.Context(), connect.NewRequest(&admin.TestPolicyRequest{}))
	if err != nil || len(tested.Msg.Results) != 1 || !tested.Msg.Ok {
		t.Errorf("its tests: %v, %v", tested, err)
	}
	if _, err := again.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: mended})); err != nil {
		t.Fatal(err)
	}
	warned, err = again.root.ListWarnings(t.Context(), connect.NewRequest(&admin.ListWarningsRequest{}))
	if err != nil || len(warned.Msg.Warnings) != 0 {
		t.Errorf("after it was mended: %v, %v", warned, err)
	}
}

// A coordinator that cannot read its policy tells no node that all is denied: it does
// not start, says why, and the policy is mended where it lies. What the policy approves
// stays approved.
func TestCoordinatorStartsWithNoPolicyThatItCannotRead(t *testing.T) {
	r := begin(t, nil)
	if _, err := r.root.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: mended})); err != nil {
		t.Fatal(err)
	}
	_, secret := r.token(enrolToken())
	one, other := r.enrol(secret), r.enrol(secret)
	if _, err := one.Report(t.Context(), connect.NewRequest(&wire.ReportRequest{Advertised: []string{"10.20.30.0/24"}})); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	dir := r.config.StateDir
	for what, store := range map[string]func(){
		"in force":            func() { took(t, dir, senseless, time.Time{}) },
		"one that may return": func() { took(t, dir, senseless, time.Time{}); took(t, dir, mended, time.Now().Add(time.Hour)) },
	} {
		store()
		r.log = &lines{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // one that serves would never end
		wants(t, coordinator.Run(ctx, r.config), "not starting", "policy.hujson:1:", `"group:who"`, "cordon-coordinator policy set --state "+dir)
		cancel()
		if len(r.log.with("serving")) > 0 {
			t.Errorf("%s: it served", what)
		}
		p, err := coordinator.ReadPolicy(t.Context(), dir)
		if err != nil || what == "in force" && (p.Text != senseless || p.Err == nil) {
			t.Errorf("%s: read %v, %v", what, p, err)
		}
		_, err = coordinator.ReplacePolicy(t.Context(), dir, "ana", "policy.hujson", senseless)
		if all := (policy.Errors)(nil); !errors.As(err, &all) {
			t.Errorf("%s: another policy without a meaning: %v", what, err)
		}
		revision, err := coordinator.ReplacePolicy(t.Context(), dir, "ana", "policy.hujson", mended)
		if err != nil {
			t.Fatal(err)
		}
		again := serve(t, r.config)
		again.founded = r.founded
		node, err := again.root.GetNode(t.Context(), connect.NewRequest(&admin.GetNodeRequest{Node: one.id}))
		if err != nil || len(node.Msg.Node.Routes) != 1 || !again.allows(one, other) || again.status().PolicyRevision != revision {
			t.Errorf("%s: after it was mended %v, %v, revision %d of %d", what, node, err, again.status().PolicyRevision, revision)
		}
		if _, err := coordinator.ReplacePolicy(t.Context(), dir, "ana", "policy.hujson", mended); err == nil {
			t.Errorf("%s: replaced under a coordinator that serves", what)
		}
		if err := again.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
