package adminapi_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// enrolled has machines with a tag join, whose names begin alike and end in numbers.
func enrolled(t *testing.T, r *registry.Registry, tag, name string, machines uint32) {
	t.Helper()
	do := func(c registry.Command) {
		t.Helper()
		if _, err := r.Do(t.Context(), registry.Operator("root"), c); err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
	secret := registry.HashSecret(name)
	do(registry.CreateToken{ID: name, Secret: secret, Kind: registry.EnrolToken, Tags: []string{tag}, Uses: machines})
	for i := range machines {
		node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
		do(registry.Enrol{Secret: secret, Key: node.Public(), Name: fmt.Sprintf("%s%d", name, i), Statement: wire.SignStatement(&node, tunnel.Public(), path.Public(), 1)})
	}
}

// The matrix of a mesh in which all reach all grows with its square: what is more than a
// coordinator can hold is refused before it is made, and a part of it is not.
func TestReachIsBounded(t *testing.T) {
	const machines = 330
	_, r := door(t)
	enrolled(t, r, "tag:a", "m", machines)
	api := adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	open := registry.SetPolicy{File: "p", Text: `{"tagOwners": {"tag:a": []}, "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}`}
	if _, err := r.Do(t.Context(), registry.Operator("root"), open); err != nil {
		t.Fatal(err)
	}
	_, err := api.ReachPolicy(t.Context(), connect.NewRequest(&admin.ReachPolicyRequest{}))
	if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "narrow it by --from") {
		t.Error(err)
	}
	resp, err := api.ReachPolicy(t.Context(), connect.NewRequest(&admin.ReachPolicyRequest{From: "m7"}))
	if err != nil || len(resp.Msg.Entries) != machines-1 {
		t.Errorf("%d entries: %v", len(resp.Msg.GetEntries()), err)
	}
}

// Whoever asks about a tag may write it in any letter case, as the policy may, and as
// whoever gave it did.
func TestReachOfATagInAnyCase(t *testing.T) {
	_, r := door(t)
	enrolled(t, r, "tag:EHR", "ehr", 2)
	enrolled(t, r, "tag:Spare", "spare", 1)
	api := adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	open := registry.SetPolicy{File: "p", Text: `{"tagOwners": {"tag:Ehr": []}, "grants": [{"src": ["tag:ehr"], "dst": ["tag:eHR"], "ip": ["tcp:443"]}]}`}
	if _, err := r.Do(t.Context(), registry.Operator("root"), open); err != nil {
		t.Fatal(err)
	}
	reach, err := api.ReachPolicy(t.Context(), connect.NewRequest(&admin.ReachPolicyRequest{From: "tag:eHr", To: "tag:EHR"}))
	if err != nil || len(reach.Msg.Entries) != 2 {
		t.Errorf("%v reach each other: %v", reach, err)
	}
	if reach, err = api.ReachPolicy(t.Context(), connect.NewRequest(&admin.ReachPolicyRequest{From: "tag:SPARE"})); err != nil || len(reach.Msg.Entries) != 0 {
		t.Errorf("those with a tag that no rule names reach %v: %v", reach, err)
	}
}
