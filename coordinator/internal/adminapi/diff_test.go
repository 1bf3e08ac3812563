package adminapi_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// An edit that opens most of a large mesh is told by what it leaves out.
func TestDiffNamesWhatIsLeftOut(t *testing.T) {
	const nodes = 110
	_, r := door(t)
	do := func(c registry.Command) {
		t.Helper()
		if _, err := r.Do(t.Context(), registry.Operator("root"), c); err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
	const text = `{"tagOwners": {"tag:ct": [], "tag:archive": []}, "grants": [{"src": ["tag:archive"], "dst": ["tag:archive"], "ip": ["tcp:443"]}%s]}`
	do(registry.SetPolicy{File: "p", Text: fmt.Sprintf(text, "")})
	for i := range nodes {
		node, tunnel, path, id := key.NewNode(), key.NewTunnel(), key.NewPath(), fmt.Sprintf("join-%d", i)
		tag := "tag:ct"
		if i < 2 {
			tag = "tag:archive"
		}
		do(registry.CreateToken{ID: id, Secret: registry.HashSecret(id), Kind: registry.EnrolToken, Tags: []string{tag}})
		do(registry.Enrol{Secret: registry.HashSecret(id), Key: node.Public(), Name: fmt.Sprintf("box%d", i), Statement: wire.SignStatement(&node, tunnel.Public(), path.Public(), 1)})
	}
	api := adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	after := &admin.PolicyVersion{Text: fmt.Sprintf(text, `, {"src": ["tag:archive"], "dst": ["*"], "ip": ["tcp:443"]}`), File: "p"}
	resp, err := api.DiffPolicy(t.Context(), connect.NewRequest(&admin.DiffPolicyRequest{After: after}))
	if err != nil {
		t.Fatal(err)
	}
	m := resp.Msg
	if len(m.Gained) != 1 || m.Untold {
		t.Fatalf("told is %.2000v", m)
	}
	where := m.Gained[0].Where
	if !slices.Equal(where.All, []string{"nodes"}) || len(where.Nodes) > 0 || !slices.Equal(where.GetExcept().GetNodes(), []string{"box0", "box1"}) {
		t.Errorf("where is %.2000v", where)
	}
	if want := "2 nodes with tag:archive gain tcp/443 at all 110 tagged nodes (but 2 nodes with tag:archive)"; m.Gained[0].Text != want {
		t.Errorf("told is %q, want %q", m.Gained[0].Text, want)
	}
}
