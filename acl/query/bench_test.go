package query_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl/query"
)

// BenchmarkReach asks a hospital's policy about every pair of its nodes: one
// question is one packet. It reports questions a second, compiling included.
func BenchmarkReach(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as cordonctl has it
	for _, nodes := range []int{30, 100, 300} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			line, questions := hospital(b, nodes)
			b.ReportAllocs()
			for b.Loop() {
				var a struct{ Compile, Message, Reach string }
				if err := json.Unmarshal(query.Answer(line), &a); err != nil || a.Compile != "ok" || len(a.Reach) != questions || !strings.Contains(a.Reach, "1") {
					b.Fatal(err, a.Compile, a.Message, len(a.Reach), questions)
				}
			}
			b.ReportMetric(float64(questions*b.N)/b.Elapsed().Seconds(), "questions/s")
		})
	}
}

// BenchmarkServe asks so a hundred times in one batch, as a suite of checks does.
func BenchmarkServe(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	line, questions := hospital(b, 30)
	batch := bytes.Repeat(append(line, '\n'), 100)
	for b.Loop() {
		if err := query.Serve(bytes.NewReader(batch), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(questions*b.N)/b.Elapsed().Seconds(), "questions/s")
}

// hospital gives a question set over a policy of 500 rules, and its number of
// questions.
func hospital(b *testing.B, nodes int) ([]byte, int) {
	owners, groups, grants := map[string][]string{}, map[string][]string{}, []any{}
	for i := range 50 {
		owners[fmt.Sprintf("tag:t%d", i)] = []string{"ada@h.example"}
		groups[fmt.Sprintf("group:g%d", i)] = []string{fmt.Sprintf("u%d@h.example", i)}
	}
	for i := range 500 {
		grants = append(grants, map[string]any{
			"src": []string{fmt.Sprintf("group:g%d", i%50), fmt.Sprintf("tag:t%d", i*7%50)}, "dst": []string{fmt.Sprintf("tag:t%d", i*3%50)},
			"ip": []string{fmt.Sprintf("tcp:%d", 1000+i), "udp:53"},
		})
	}
	var all, points []any
	for i := range nodes {
		ip, name := fmt.Sprintf("100.64.%d.%d", i/250, 1+i%250), fmt.Sprintf("n%d", i)
		node := map[string]any{"name": name, "ipv4": ip, "tags": []string{fmt.Sprintf("tag:t%d", i%50)}}
		if i%2 == 0 {
			node = map[string]any{"name": name, "ipv4": ip, "user": fmt.Sprintf("u%d@h.example", i%50)}
		}
		all, points = append(all, node), append(points, map[string]any{"ip": ip, "node": name, "kind": "node"})
	}
	policy, err := json.Marshal(map[string]any{"tagOwners": owners, "groups": groups, "grants": grants})
	if err != nil {
		b.Fatal(err)
	}
	probes := [][2]int{{6, 22}, {6, 1003}, {6, 1250}, {17, 53}, {17, 123}, {1, 0}}
	line, err := json.Marshal(map[string]any{"v": 1, "id": "h", "policy": string(policy), "nodes": all,
		"ask": map[string]any{"reach": map[string]any{"src": points, "dst": points, "probes": probes}}})
	if err != nil {
		b.Fatal(err)
	}
	return line, nodes * nodes * len(probes)
}
