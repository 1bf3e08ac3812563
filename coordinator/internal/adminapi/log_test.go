package adminapi_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/adminapi"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// edited is an admin's door to a mesh whose policy was each of some texts, and the revisions
// of those.
func edited(t *testing.T, texts ...string) (api *adminapi.API, revisions []uint64) {
	t.Helper()
	_, r := door(t)
	for i, text := range texts {
		if _, err := r.Do(t.Context(), registry.Operator("root"), registry.SetPolicy{File: "p", Text: text}); err != nil {
			t.Fatalf("policy %d: %v", i, err)
		}
		revisions = append(revisions, r.Snapshot().Policy().Revision)
	}
	return adminapi.New(adminapi.Config{Registry: r, Now: time.Now, Log: slog.New(slog.DiscardHandler)}), revisions
}

func logged(t *testing.T, api *adminapi.API, r *admin.LogPolicyRequest) *admin.LogPolicyResponse {
	t.Helper()
	resp, err := api.LogPolicy(t.Context(), connect.NewRequest(r))
	if err != nil {
		t.Fatal(err)
	}
	return resp.Msg
}

// The history comes in pages, latest first, and each edit has on its page what it has in a
// list of all.
func TestLogComesInPages(t *testing.T) {
	var texts []string
	for i := range 7 {
		texts = append(texts, fmt.Sprintf(`{"tagOwners": {"tag:a": [%s]}}`, strings.Repeat(`"p@h",`, i%2)+fmt.Sprintf(`"q%d@h"`, i)))
	}
	api, revisions := edited(t, texts...)
	whole := logged(t, api, &admin.LogPolicyRequest{Limit: 100})
	var all, paged []string
	for _, e := range whole.Edits {
		all = append(all, e.String())
	}
	if len(all) != 7 || whole.Older != 0 || whole.Edits[0].Revision != revisions[6] || !whole.Edits[6].Oldest || whole.Edits[0].Gained == 0 {
		t.Fatalf("%d edits: %v", len(all), whole)
	}
	pages := 0
	for next := uint64(0); pages == 0 || next != 0; pages++ {
		page := logged(t, api, &admin.LogPolicyRequest{Limit: 3, Before: next})
		for _, e := range page.Edits {
			paged = append(paged, e.String())
		}
		next = page.Older
		if pages > 7 {
			t.Fatal("there is no end")
		}
	}
	if pages != 3 || !slices.Equal(paged, all) {
		t.Errorf("%d pages:\n%s\nwant\n%s", pages, strings.Join(paged, "\n"), strings.Join(all, "\n"))
	}
	if got := logged(t, api, &admin.LogPolicyRequest{Before: revisions[0]}); len(got.Edits) != 0 || got.Older != 0 {
		t.Errorf("before the first: %v", got)
	}
}

// A history of policies of megabytes is told within a bound: the latest edits with what they
// changed, and of the others that they are not.
func TestLogOfBombs_A47(t *testing.T) {
	const bombs = 12
	var texts []string
	for i := range bombs {
		var attrs strings.Builder
		for k := range 60_000 {
			fmt.Fprintf(&attrs, `"attribute-of-the-bomb-%d-%d",`, i, k)
		}
		texts = append(texts, `{"nodeAttrs": [{"target": ["p@h"], "attr": [`+attrs.String()+`]}]}`)
	}
	api, revisions := edited(t, texts...)
	got := logged(t, api, &admin.LogPolicyRequest{Limit: 100})
	told := 0
	for i, e := range got.Edits {
		switch {
		case e.Revision != revisions[bombs-1-i]:
			t.Errorf("edit %d is of revision %d", i, e.Revision)
		case e.Oldest && e.Untold:
			t.Error("of the oldest there is nothing to tell")
		case !e.Untold && !e.Oldest:
			told++
			if e.Gained == 0 || e.LinesAdded != 1 {
				t.Errorf("told of revision %d: %v", e.Revision, e)
			}
			if i > 0 && got.Edits[i-1].Untold {
				t.Errorf("revision %d is told after one that is not", e.Revision)
			}
		case e.Untold && e.Gained+e.Lost+e.LinesAdded > 0:
			t.Errorf("not told of revision %d: %v", e.Revision, e)
		}
	}
	if len(got.Edits) != bombs || told < 3 || told > 8 {
		t.Errorf("of %d edits %d are told", len(got.Edits), told)
	}
	deeper := logged(t, api, &admin.LogPolicyRequest{Limit: 3, Before: revisions[5]})
	if len(deeper.Edits) != 3 || slices.ContainsFunc(deeper.Edits, func(e *admin.PolicyEdit) bool { return e.Untold }) {
		t.Errorf("a page of three: %v", deeper)
	}
}
