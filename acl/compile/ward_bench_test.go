package compile_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// largeWard is a policy of a number of rules, of which a third have conditions, with
// 30 segments that have floors, 20 rules that forbid, and a directory of n nodes:
// seven of ten belong to people, the rest to 300 tags.
func largeWard(n, rules int) (string, []compile.Node) {
	var b strings.Builder
	const groups, tags, segments = 60, 300, 30
	b.WriteString(`{"schedules": {"office": {"tz": "America/Chicago", "weekly": ["Mon-Fri 07:00-19:00"]}}, "oncall": {"icu": {"ics": "icu.ics"}},
"postures": {"posture:managed": ["custom:mdm == true"], "posture:sick": ["custom:sick == true"]}, "groups": {`)
	for g := range groups {
		fmt.Fprintf(&b, "\"group:g%d\": [", g)
		for u := g; u < n/2; u += groups {
			fmt.Fprintf(&b, "\"u%d@h.example\",", u)
		}
		b.WriteString("],\n")
	}
	b.WriteString(`}, "tagOwners": {`)
	for t := range tags {
		fmt.Fprintf(&b, "\"tag:t%d\": [],", t)
	}
	b.WriteString("},\n\"segments\": {")
	for s := range segments {
		fmt.Fprintf(&b, "\"seg:s%d\": {\"members\": [", s)
		for t := s; t < tags/2; t += segments {
			fmt.Fprintf(&b, "\"tag:t%d\",", t)
		}
		fmt.Fprintf(&b, "], \"owner\": \"group:g0\", \"requires\": {\"mfa\": {\"within\": \"%dh\"}}, \"offline\": {\"hold\": \"%dd\"}},\n", 8+s%5, 1+s%3)
	}
	b.WriteString("},\n\"grants\": [\n")
	for r := range rules {
		src, dst := fmt.Sprintf("group:g%d", r%groups), fmt.Sprintf("tag:t%d", (r*7)%tags)
		switch {
		case r == 0:
			src, dst = "autogroup:member", "autogroup:self"
		case r == 1:
			src, dst = "*", "tag:t0"
		case r%10 == 2:
			src = fmt.Sprintf("u%d@h.example", r)
		case r%10 == 3:
			dst = fmt.Sprintf("10.%d.%d.0/24", r%100, r%7)
		case r%50 == 4:
			dst = fmt.Sprintf("seg:s%d", r%segments)
		case r%3 == 0:
			src = fmt.Sprintf("tag:t%d", r%tags)
		}
		fmt.Fprintf(&b, "{\"id\": \"r%d\", \"src\": [%q], \"dst\": [%q], \"ip\": [\"tcp:%d\", \"tcp:443\"]%s},\n", r, src, dst, 1000+r, wardTerms(r))
	}
	b.WriteString("],\n\"forbid\": [\n")
	for f := range 20 {
		fmt.Fprintf(&b, "{\"id\": \"f%d\", \"src\": [\"group:g%d\", \"tag:t%d\"], \"dst\": [\"seg:s%d\"], \"when\": {\"posture\": [\"posture:sick\"]}},\n", f, f, f*3, f)
	}
	b.WriteString("]}")
	nodes := make([]compile.Node, n)
	for i := range nodes {
		nodes[i] = hospitalNode(i, n, tags)
	}
	return b.String(), nodes
}

// wardTerms gives conditions to one rule of three.
func wardTerms(r int) string {
	if r%3 != 1 || r < 3 {
		return ""
	}
	return []string{
		`, "when": {"mfa": {"within": "1h"}}`, `, "when": {"posture": ["posture:managed"]}`, `, "when": {"schedule": "office"}`,
		`, "when": {"oncall": "icu"}`, `, "when": {"risk": "<70", "schedule": "office"}`, `, "srcPosture": ["posture:managed", "posture:sick"]`,
	}[r/3%6]
}

func parseLarge(b *testing.B, text string) *policy.Policy {
	b.Helper()
	pol, _, err := policy.Options{Now: wardStart()}.Parse("ward.hujson", []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	return pol
}

func largeMesh(pol *policy.Policy, nodes []compile.Node) *compile.Mesh {
	m := compile.New(pol, ranges())
	m.Advance(wardStart())
	m.Load(nodes)
	for i := range nodes {
		m.Set(nodes[i].ID)
	}
	return m
}

// BenchmarkWard reads and compiles a hospital of 10,000 nodes with 5,000 rules, and
// makes every node's rule set. It tells how many rules they have.
func BenchmarkWard(b *testing.B) {
	text, nodes := largeWard(10_000, 5_000)
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			parseLarge(b, text)
		}
	})
	pol := parseLarge(b, text)
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		var m *compile.Mesh
		for b.Loop() {
			m = largeMesh(pol, nodes)
		}
		most, all := 0, 0
		for i := range nodes {
			rs := m.Rules(nodes[i].ID)
			count := len(rs.In) + len(rs.Out) + len(rs.ForbidIn) + len(rs.ForbidOut)
			most, all = max(most, count), all+count
		}
		b.ReportMetric(float64(most), "rules/most")
		b.ReportMetric(float64(all)/float64(len(nodes)), "rules/node")
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		live := largeMesh(pol, nodes)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-live")
		runtime.KeepAlive(live)
	})
}

func BenchmarkWardChanges(b *testing.B) {
	text, nodes := largeWard(10_000, 5_000)
	pol := parseLarge(b, text)
	m := largeMesh(pol, nodes)
	laptop := nodes[10]
	known := laptop
	known.Facts = []acl.FactEnd{{Fact: "mfa:within=1h0m0s", Until: wardStart().Add(time.Hour)}}
	b.Run("fact-comes-and-goes", func(b *testing.B) {
		for b.Loop() {
			m.Put(known)
			m.Put(laptop)
		}
	})
	b.Run("laptop-leaves-and-joins", func(b *testing.B) {
		for b.Loop() {
			m.Remove(laptop.ID)
			m.Put(laptop)
		}
	})
	b.Run("day-passes", func(b *testing.B) {
		now := wardStart()
		for b.Loop() {
			now = now.Add(24 * time.Hour)
			m.Advance(now)
		}
	})
	b.Run("facts-of", func(b *testing.B) {
		e := compile.Evidence{Logins: []compile.Login{{At: wardStart(), Until: compile.Forever()}}}
		for b.Loop() {
			m.FactsOf(&e, wardStart())
		}
	})
	edit := parseLarge(b, strings.Replace(text, `"tcp:1007"`, `"tcp:2007"`, 1))
	b.Run("one-port", func(b *testing.B) {
		for b.Loop() {
			m.SetPolicy(edit)
			m.SetPolicy(pol)
		}
	})
}
