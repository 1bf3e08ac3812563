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
)

// A policy that would take too much memory on the nodes that there are is refused by
// whatever compiles it, with the place of what costs most, and changes nothing.
func TestTooLargePoliciesAreRefused(t *testing.T) {
	_, r := door(t)
	var names []string
	for _, login := range []string{"ana@h.example", "ben@h.example", "cleo@h.example"} {
		person(t, r, login, "owner")
		names = append(names, fmt.Sprintf(`{"src": [%q], "dst": ["*"], "ip": ["tcp:1"]}`, login))
	}
	var spans strings.Builder
	for i := range 240 {
		fmt.Fprintf(&spans, `"%s %02d:%02d-%02d:%02d",`, []string{"Mon", "Tue", "Wed", "Thu"}[i/60], i%60/3, i%3*20, i%60/3, i%3*20+5)
	}
	text := `{"schedules": {"s": {"tz": "UTC", "weekly": [` + spans.String() + `]}}, "grants": [` + strings.Join(names, ",") + ",\n" +
		strings.Repeat(`{"src": ["*"], "dst": ["*"], "ip": ["tcp:2"], "when": {"schedule": "s"}},`, 2_000) + `]}`
	api := adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	before := r.Snapshot().Revision
	for name, ask := range map[string]func() error{
		"set": func() error {
			_, err := api.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text}))
			return err
		},
		"tried": func() error {
			_, err := api.SetPolicy(t.Context(), connect.NewRequest(&admin.SetPolicyRequest{Text: text, DryRun: true}))
			return err
		},
		"tested": func() error {
			_, err := api.TestPolicy(t.Context(), connect.NewRequest(&admin.TestPolicyRequest{Text: strings.Replace(text, `{"schedules"`, `{"tests": [{"src": "ana@h.example", "deny": ["100.64.0.9:22"]}], "schedules"`, 1)}))
			return err
		},
		"compared": func() error {
			_, err := api.DiffPolicy(t.Context(), connect.NewRequest(&admin.DiffPolicyRequest{After: &admin.PolicyVersion{Text: text}}))
			return err
		},
	} {
		err := ask()
		problems := admin.Problems(err)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || len(problems) != 1 || problems[0].Line != 2 || problems[0].Column != 1 ||
			!strings.Contains(problems[0].Message, `more than 2000000 rules together; most of it is by "*"`) || !strings.Contains(problems[0].Hint, "join rules") {
			t.Errorf("%s: %.300v %.300v", name, err, problems)
		}
	}
	if after := r.Snapshot().Revision; after != before {
		t.Errorf("from revision %d to %d", before, after)
	}
}
