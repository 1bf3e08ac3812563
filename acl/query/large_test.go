package query_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/query"
)

// A policy that is too large for the mesh of a question is an error of the policy: be it
// by what holds always, or by what a device must meet first.
func TestTooLargeForTheMesh(t *testing.T) {
	var spans, tags strings.Builder
	for i := range 240 {
		fmt.Fprintf(&spans, `"%s %02d:%02d-%02d:%02d",`, []string{"Mon", "Tue", "Wed", "Thu"}[i/60], i%60/3, i%3*20, i%60/3, i%3*20+5)
	}
	var nodes []map[string]any
	for i := range 3 {
		fmt.Fprintf(&tags, `"tag:t%d": [],`, i)
		nodes = append(nodes, map[string]any{"name": fmt.Sprint("n", i), "tags": []string{fmt.Sprint("tag:t", i)}, "ipv4": fmt.Sprint("100.64.0.", i+1)})
	}
	policy := `{"tagOwners": {` + tags.String() + `}, "schedules": {"s": {"tz": "UTC", "weekly": [` + spans.String() + `]}}, "grants": [
		{"src": ["tag:t0"], "dst": ["tag:t1", "tag:t2"], "ip": ["tcp:1"]},` + strings.Repeat(`{"src": ["*"], "dst": ["*"], "ip": ["tcp:2"], "when": {"schedule": "s"}},`, 2_000) + `]}`
	for n, want := range map[int]string{1: "ok", 3: "error"} {
		line, err := json.Marshal(map[string]any{"v": 1, "policy": policy, "nodes": nodes[:n]})
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Compile, Message string }
		if err := json.Unmarshal(query.Answer(line), &got); err != nil {
			t.Fatal(err)
		}
		if got.Compile != want || want == "error" && !strings.Contains(got.Message, `policy:2:69: the nodes that there are would hold more than 2000000 rules together; most of it is by "*", which stands in 2000 rules of the file`) {
			t.Errorf("%d nodes: %s: %s", n, got.Compile, got.Message)
		}
	}
}
