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
)

// An edit that opens most of a large mesh is told by what it leaves out.
func TestDiffNamesWhatIsLeftOut(t *testing.T) {
	const text = `{"tagOwners": {"tag:ct": [], "tag:archive": []}, "grants": [{"src": ["tag:archive"], "dst": ["tag:archive"], "ip": ["tcp:443"]}%s]}`
	_, r := door(t)
	if _, err := r.Do(t.Context(), registry.Operator("root"), registry.SetPolicy{File: "p", Text: fmt.Sprintf(text, "")}); err != nil {
		t.Fatal(err)
	}
	enrolled(t, r, "tag:archive", "archive", 2)
	enrolled(t, r, "tag:ct", "ct", 108)
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
	if !slices.Equal(where.All, []string{"nodes"}) || len(where.Nodes) > 0 || !slices.Equal(where.GetExcept().GetNodes(), []string{"archive0", "archive1"}) {
		t.Errorf("where is %.2000v", where)
	}
	if want := "2 nodes with tag:archive gain tcp/443 at all 110 tagged nodes (but 2 nodes with tag:archive)"; m.Gained[0].Text != want {
		t.Errorf("told is %q, want %q", m.Gained[0].Text, want)
	}
}
