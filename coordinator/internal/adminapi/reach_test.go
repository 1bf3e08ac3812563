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
