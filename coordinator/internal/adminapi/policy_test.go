package adminapi_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
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

// A policy whose tests ask of virtual services is taken, with one warning of each; a run of
// its tests says of each that nobody judged it.
func TestVirtualServicesInTestsAreNotJudged(t *testing.T) {
	_, r := door(t)
	api := adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	const text = `{"grants": [], "tests": [{"src": "100.64.0.1", "accept": ["svc:web:443"], "deny": ["100.64.0.2:22"]}]}`
	set, err := api.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text, DryRun: true}))
	if err != nil || len(set.Msg.Problems) != 1 || !set.Msg.Problems[0].Warning || !strings.Contains(set.Msg.Problems[0].Message, "is not judged: there are no virtual services here") {
		t.Fatalf("%v, %v", set, err)
	}
	tested, err := api.TestPolicy(t.Context(), connect.NewRequest(&admin.TestPolicyRequest{Text: text}))
	if err != nil || !tested.Msg.Ok || len(tested.Msg.Results) != 2 {
		t.Fatalf("%v, %v", tested, err)
	}
	if got := tested.Msg.Results[0]; got.Dst != "svc:web:443" || !got.Pass || got.Message != "there are no virtual services here to test with" {
		t.Errorf("%v", got)
	}
	if got := tested.Msg.Results[1]; got.Message != "" {
		t.Errorf("%v", got)
	}
}
