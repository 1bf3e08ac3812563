package adminapi_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
)

// Tests are not judged for a caller who is gone, neither to tell of them nor to try or to
// set their policy.
func TestNobodyIsJudgedForWhoIsGone(t *testing.T) {
	_, r := door(t)
	api := adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	before := r.Snapshot().Revision
	for _, text := range []string{
		`{"tests": [{"src": "100.64.0.1", "deny": ["100.64.0.2:22"]}]}`,
		`{"tagOwners": {"tag:a": []}, "sshTests": [{"src": "tag:a", "dst": ["tag:a"], "deny": ["root"]}]}`,
	} {
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := api.TestPolicy(gone, connect.NewRequest(&admin.TestPolicyRequest{Text: text})); !errors.Is(err, context.Canceled) {
			t.Errorf("tested: %v", err)
		}
		if _, err := api.SetPolicy(gone, connect.NewRequest(&admin.SetPolicyRequest{Text: text, DryRun: true})); !errors.Is(err, context.Canceled) {
			t.Errorf("tried: %v", err)
		}
	}
	if after := r.Snapshot().Revision; after != before {
		t.Errorf("from revision %d to %d", before, after)
	}
}
