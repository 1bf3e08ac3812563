package diff_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/acl/policy"
)

// hospital is a policy of so many rules and a directory of n nodes: seven of ten
// belong to people in one to three of 60 groups, the rest to 120 tags.
func hospital(n, rules int) (string, []compile.Node) {
	const groups, tags = 60, 120
	members := make([][]string, groups)
	for u := range n / 2 {
		for _, g := range []int{u % groups, u * 7 % groups, u * 31 % groups}[:1+u%3] {
			members[g] = append(members[g], fmt.Sprintf("%q", fmt.Sprintf("u%d@h", u)))
		}
	}
	var b strings.Builder
	b.WriteString(`{"groups": {`)
	for g, logins := range members {
		fmt.Fprintf(&b, "\"group:g%d\": [%s],\n", g, strings.Join(logins, ", "))
	}
	b.WriteString(`}, "tagOwners": {`)
	for t := range tags {
		fmt.Fprintf(&b, "\"tag:t%d\": [],", t)
	}
	b.WriteString("},\n\"grants\": [\n{\"src\": [\"autogroup:member\"], \"dst\": [\"autogroup:self\"], \"ip\": [\"tcp:22\"]},\n")
	for r := range rules {
		src := fmt.Sprintf("group:g%d", r%groups)
		if r%3 == 0 {
			src = fmt.Sprintf("tag:t%d", r%tags)
		}
		fmt.Fprintf(&b, "{\"src\": [%q], \"dst\": [\"tag:t%d\"], \"ip\": [\"tcp:%d\", \"tcp:443\"]},\n", src, r*7%tags, 1000+r)
	}
	b.WriteString("]}")
	nodes := make([]compile.Node, n)
	for i := range nodes {
		nodes[i] = compile.Node{ID: fmt.Sprintf("n%05d", i), Name: fmt.Sprintf("host-%d", i), Addrs: []netip.Addr{
			netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}), netip.AddrFrom16([16]byte{0xfd, 0x7a, 14: byte(i >> 8), 15: byte(i)})}}
		if i%10 < 7 {
			nodes[i].User = fmt.Sprintf("u%d@h", i*7%(n/2))
		} else {
			nodes[i].Tags = []string{fmt.Sprintf("tag:t%d", (i/10*3+i%10-7)%tags)}
		}
	}
	return b.String(), nodes
}

// BenchmarkMeshes compares policies for 10,000 nodes: one grant more, and all of
// them gone.
func BenchmarkMeshes(b *testing.B) {
	text, nodes := hospital(10_000, 500)
	was := mesh(parse(b, text), nodes)
	for what, is := range map[string]string{
		"comment": "// a comment\n" + text,
		"a grant": strings.TrimSuffix(text, "]}") + `{"src": ["group:g1"], "dst": ["tag:t5"], "ip": ["tcp:3389"]}]}`,
		"all":     text[:strings.Index(text, `"grants"`)] + `"grants": []}`,
	} {
		other := mesh(parse(b, is), nodes)
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				diff.Meshes(was, other)
			}
			b.ReportMetric(float64(len(diff.Meshes(was, other).Gained)+len(diff.Meshes(was, other).Lost)), "lines")
		})
	}
}

// BenchmarkEverything compares a policy of 5,000 rules with one in which one of them
// opens everything to everybody: all pairs of kinds differ.
func BenchmarkEverything(b *testing.B) {
	text, nodes := hospital(2_000, 5_000)
	was := mesh(parse(b, text), nodes)
	last := strings.LastIndex(text, "{")
	is := mesh(parse(b, text[:last]+`{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}`), nodes)
	for b.Loop() {
		diff.Meshes(was, is)
	}
	b.ReportMetric(float64(len(diff.Meshes(was, is).Gained)+len(diff.Meshes(was, is).Lost)), "lines")
}

// BenchmarkStar compares a policy of 5,000 rules over thousands of tags with one in which
// another rule opens everything to everybody: each gains all but what it had.
func BenchmarkStar(b *testing.B) {
	for _, tags := range []int{2_000, 11_000} {
		text := tagRules(5_000, tags)
		was, is := parse(b, text+"]}"), parse(b, text+`{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}`)
		nodes, _, err := diff.Imagine(was, is)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("tags=%d", tags), func(b *testing.B) {
			for b.Loop() {
				if d := (diff.Options{Imagined: true}).Meshes(mesh(was, nodes), mesh(is, nodes)); d.Untold {
					b.Fatal("too much to be told")
				}
			}
		})
	}
}

// tagRules is the beginning of a policy of so many rules among so many tags.
func tagRules(rules, tags int) string {
	var text strings.Builder
	text.WriteString(`{"tagOwners": {`)
	for t := range tags {
		fmt.Fprintf(&text, "\"tag:t%d\": [],", t)
	}
	text.WriteString(`}, "grants": [`)
	for r := range rules {
		fmt.Fprintf(&text, "{\"src\": [\"tag:t%d\"], \"dst\": [\"tag:t%d\"], \"ip\": [\"tcp:%d\"]},\n", r%tags, r*7%tags, 1000+r)
	}
	return text.String()
}

// BenchmarkMadeUp compares two policies of 5,000 rules over 2,000 tags, in which every
// rule opens something else, over made-up nodes.
func BenchmarkMadeUp(b *testing.B) {
	text := tagRules(5_000, 2_000)
	was, is := parse(b, text+"]}"), parse(b, strings.ReplaceAll(text, "tcp:", "udp:")+"]}")
	nodes, _, err := diff.Imagine(was, is)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		diff.Options{Imagined: true}.Meshes(mesh(was, nodes), mesh(is, nodes))
	}
}

// BenchmarkSchedules compares two policies with as many schedules of as many openings as a
// file may have, of which each is another, and each stands in a rule.
func BenchmarkSchedules(b *testing.B) {
	file := func(name, last string) *policy.Policy {
		var spans, schedules, rules strings.Builder
		for i := range 7*48 - 1 {
			fmt.Fprintf(&spans, "\"%s %02d:%02d-%02d:%02d\",", []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[i/48], i%48/2, i%2*30, i%48/2, i%2*30+10)
		}
		for i := range 450 {
			fmt.Fprintf(&schedules, "\"%s%d\": {\"tz\": \"UTC\", \"weekly\": [%s\"Sun 23:30-%s\"]},", name, i, spans.String(), last)
			fmt.Fprintf(&rules, "{\"id\": \"r%d\", \"src\": [\"p@h\"], \"dst\": [\"p@h\"], \"ip\": [\"1\"], \"when\": {\"schedule\": \"%s%d\"}},", i, name, i)
		}
		return parse(b, `{"schedules": {`+schedules.String()+`}, "grants": [`+rules.String()+`]}`)
	}
	was := file("s", "23:40")
	for what, is := range map[string]*policy.Policy{"longer": file("s", "23:45"), "renamed": file("t", "23:45")} {
		nodes, _, err := diff.Imagine(was, is)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				before, after := mesh(was, nil), mesh(is, nil)
				for _, m := range []*compile.Mesh{before, after} {
					m.Advance(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
					m.Load(nodes)
				}
				diff.Options{Imagined: true}.Meshes(before, after)
			}
		})
	}
}
