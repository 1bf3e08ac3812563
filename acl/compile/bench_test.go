package compile_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// hospital is a policy of 500 rules and a directory of n nodes: seven of ten
// belong to people in one to three of 60 groups, the rest to 120 tags; one in a
// hundred routes a subnet.
func hospital(n int) (string, []compile.Node) { return hospitalOf(n, 60, 120, 500) }

func hospitalOf(n, groups, tags, rules int) (string, []compile.Node) {
	var b strings.Builder
	b.WriteString(`{"groups": {`)
	for g := range groups {
		fmt.Fprintf(&b, "\"group:g%d\": [", g)
		for u := range n / 2 {
			if u%groups == g || (u%3 == 0 && (u/3)%groups == g) || (u%7 == 0 && (u/7)%groups == g) {
				fmt.Fprintf(&b, "\"u%d@h.example\",", u)
			}
		}
		b.WriteString("],\n")
	}
	b.WriteString(`}, "tagOwners": {`)
	for t := range tags {
		fmt.Fprintf(&b, "\"tag:t%d\": [],", t)
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
		case r%3 == 0:
			src = fmt.Sprintf("tag:t%d", r%tags)
		}
		fmt.Fprintf(&b, "{\"id\": \"r%d\", \"src\": [%q], \"dst\": [%q], \"ip\": [\"tcp:%d\", \"tcp:443\"]},\n", r, src, dst, 1000+r)
	}
	b.WriteString("]}")
	nodes := make([]compile.Node, n)
	for i := range nodes {
		nodes[i] = hospitalNode(i, n, tags)
	}
	return b.String(), nodes
}

func hospitalNode(i, n, tags int) compile.Node {
	four := netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)})
	six := netip.AddrFrom16([16]byte{0xfd, 0x7a, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
	node := compile.Node{ID: fmt.Sprintf("n%d", i), Name: fmt.Sprintf("host-%d", i), Addrs: []netip.Addr{four, six}}
	if i%10 < 7 {
		node.User = fmt.Sprintf("u%d@h.example", (i*7)%max(n/2, 1))
	} else {
		node.Tags = []string{fmt.Sprintf("tag:t%d", (i/10*3+i%10-7)%tags)}
	}
	if i%100 == 99 {
		node.Routes = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i / 100), 0, 0}), 16)}
	}
	return node
}

func sizes() []int { return []int{100, 1_000, 10_000} }

func mustParse(b *testing.B, text string) *policy.Policy {
	b.Helper()
	p, _, err := policy.Parse("bench", []byte(text))
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// BenchmarkCompile builds the mesh and every node's rule set.
func BenchmarkCompile(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			text, nodes := hospital(n)
			pol := mustParse(b, text)
			b.ReportAllocs()
			for b.Loop() {
				m := compile.New(pol, ranges())
				m.Load(nodes)
				for i := range nodes {
					m.Set(nodes[i].ID)
				}
			}
		})
	}
}

// BenchmarkPut replaces, removes and adds one node, and makes its rules.
func BenchmarkPut(b *testing.B) {
	for _, n := range sizes() {
		text, nodes := hospital(n)
		m := compile.New(mustParse(b, text), ranges())
		m.Load(nodes)
		for i := range nodes {
			m.Set(nodes[i].ID)
		}
		laptop, router, other := nodes[10], nodes[99], nodes[10]
		other.User = nodes[20].User
		b.Run(fmt.Sprintf("laptop-leaves-and-joins/nodes=%d", n), func(b *testing.B) {
			views := 0
			for b.Loop() {
				views += viewsOf(m.Remove(laptop.ID))
				views += viewsOf(m.Put(laptop))
				m.Set(laptop.ID)
			}
			b.ReportMetric(float64(views)/float64(b.N), "views/op")
		})
		b.Run(fmt.Sprintf("laptop-changes-hands/nodes=%d", n), func(b *testing.B) {
			for b.Loop() {
				m.Put(other)
				m.Put(laptop)
			}
		})
		b.Run(fmt.Sprintf("router-leaves-and-joins/nodes=%d", n), func(b *testing.B) {
			for b.Loop() {
				m.Remove(router.ID)
				m.Put(router)
			}
		})
		b.Run(fmt.Sprintf("nothing-changes/nodes=%d", n), func(b *testing.B) {
			for b.Loop() {
				m.Put(laptop)
			}
		})
	}
}

// viewsOf counts those whom a change tells anything.
func viewsOf(c compile.Change) (views int) {
	for range c.Views() {
		views++
	}
	return views
}

// BenchmarkPutFlat is the worst case: everybody may reach everybody, so one node
// concerns all.
func BenchmarkPutFlat(b *testing.B) {
	_, nodes := hospital(10_000)
	m := compile.New(mustParse(b, `{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}`), ranges())
	m.Load(nodes)
	for b.Loop() {
		m.Remove(nodes[10].ID)
		m.Put(nodes[10])
	}
}

func BenchmarkSetPolicy(b *testing.B) {
	for _, n := range sizes() {
		text, nodes := hospital(n)
		pol := mustParse(b, text)
		comment := mustParse(b, "// a comment\n"+text)
		edit := mustParse(b, strings.Replace(text, `"tcp:1007"`, `"tcp:2007"`, 1))
		m := compile.New(pol, ranges())
		m.Load(nodes)
		b.Run(fmt.Sprintf("comment/nodes=%d", n), func(b *testing.B) {
			for b.Loop() {
				m.SetPolicy(comment)
				m.SetPolicy(pol)
			}
		})
		b.Run(fmt.Sprintf("one-port/nodes=%d", n), func(b *testing.B) {
			views := 0
			for b.Loop() {
				views += viewsOf(m.SetPolicy(edit))
				views += viewsOf(m.SetPolicy(pol))
			}
			b.ReportMetric(float64(views)/float64(b.N), "views/op")
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text, _ := hospital(10_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		mustParse(b, text)
	}
}

func BenchmarkAllowed(b *testing.B) {
	text, nodes := hospital(1_000)
	m := compile.New(mustParse(b, text), ranges())
	m.Load(nodes)
	for i := 0; b.Loop(); i++ {
		m.Allowed(nodes[i%1000].Addrs[0], nodes[(i*31)%1000].Addrs[0], acl.TCP, 443)
	}
}
