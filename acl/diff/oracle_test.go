package diff_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
)

// spot is an address with all by which a set may name it.
type spot struct {
	addr                netip.Addr
	node, user, network string
}

// spots gives every address of a clinic, and two behind its gateway.
func spots(nodes []compile.Node) []spot {
	var all []spot
	for _, n := range nodes {
		for _, a := range n.Addrs {
			all = append(all, spot{a, n.Name, n.User, ""})
		}
	}
	return append(all, spot{netip.MustParseAddr("10.20.30.9"), "gate", "", "10.20.30.9 behind gate"},
		spot{netip.MustParseAddr("10.20.30.77"), "gate", "", "10.20.30.0/24 behind gate"})
}

func within(s diff.Set, p spot) bool {
	if slices.Contains(s.All, p.sort()) && (s.Except == nil || !within(*s.Except, p)) {
		return true
	}
	if p.network != "" {
		return slices.ContainsFunc(s.Networks, func(text string) bool { return strings.Contains(text, p.network) })
	}
	return slices.Contains(s.Nodes, p.node) || p.user != "" && slices.Contains(s.People, p.user)
}

// sort is what a set that means most of a mesh calls the likes of a spot.
func (p spot) sort() string {
	switch {
	case p.network != "":
		return "networks"
	case p.user != "":
		return "people"
	}
	return "nodes"
}

// claimed tells whether changes speak of a port from one spot to another.
func claimed(all []diff.Change, from, to spot, port uint16) bool {
	return slices.ContainsFunc(all, func(c diff.Change) bool {
		there := within(c.Where, to) || c.Where.Own && from.user != "" && from.user == to.user
		return there && within(c.Who, from) && slices.ContainsFunc(c.Open, func(s acl.Service) bool {
			return s.Protocol == acl.TCP && s.First <= port && port <= s.Last
		})
	})
}

// drawn gives a policy of a few rules. It always names the network and the host
// in it, so that every mesh tells them apart.
func drawn(r *rand.Rand) string {
	names := []string{"group:radiology", "group:it", "rhea@h", "zoe@h", "tag:ct", "tag:pacs", "tag:gw", "imaging", "ct-9", "*", "autogroup:member", "autogroup:tagged", "100.64.0.1", "fd7a::2"}
	rules := []string{`{"src": ["imaging", "ct-9"], "dst": ["nobody@h"], "ip": ["tcp:1"]}`}
	for range r.IntN(4) {
		pick := func() string { return names[r.IntN(len(names))] }
		src, dst := pick(), pick()
		if r.IntN(4) == 0 {
			src, dst = []string{"group:radiology", "rhea@h", "autogroup:member"}[r.IntN(3)], "autogroup:self"
		}
		via := ""
		if r.IntN(8) == 0 && !strings.HasPrefix(dst, "autogroup:self") {
			via = fmt.Sprintf(`, "via": ["tag:%s"]`, []string{"gw", "ct"}[r.IntN(2)])
		}
		rules = append(rules, fmt.Sprintf(`{"src": [%q], "dst": [%q], "ip": ["tcp:%d-%d"]%s}`, src, dst, 10+r.IntN(3), 12+r.IntN(3), via))
	}
	return "{" + definitions + `"grants": [` + strings.Join(rules, ",\n") + "]}"
}

// edge is a port from one named thing to another; a node's two addresses are
// named together.
type edge struct {
	from, to string
	port     uint16
}

func (p spot) name() string { return p.node + p.network }

// TestAgreesWithEveryPair: what is told is what a question about each pair of
// addresses and each port would find.
func TestAgreesWithEveryPair(t *testing.T) {
	nodes := clinic()
	all := spots(nodes)
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		texts := [2]string{drawn(r), drawn(r)}
		was, is := mesh(parse(t, texts[0]), nodes), mesh(parse(t, texts[1]), nodes)
		d := diff.Meshes(was, is)
		gained, lost := asked(was, is, all)
		for _, from := range all {
			for _, to := range all {
				if from.node == to.node {
					continue
				}
				own := from.user != "" && from.user == to.user // of these too much may be told
				for port := uint16(9); port < 16; port++ {
					e := edge{from.name(), to.name(), port}
					if told := claimed(d.Gained, from, to, port); told != gained[e] && !(told && own) {
						t.Errorf("seed %d: %v: gained %t, told %t", seed, e, gained[e], told)
					}
					if told := claimed(d.Lost, from, to, port); told != lost[e] && !(told && own) {
						t.Errorf("seed %d: %v: lost %t, told %t", seed, e, lost[e], told)
					}
				}
			}
		}
		if t.Failed() {
			t.Fatalf("%s\n%s\n%s", texts[0], texts[1], told(d))
		}
	}
}

// asked asks both meshes about every pair of addresses of one family.
func asked(was, is *compile.Mesh, all []spot) (gained, lost map[edge]bool) {
	gained, lost = make(map[edge]bool), make(map[edge]bool)
	for _, from := range all {
		for _, to := range all {
			if from.node == to.node || from.addr.Is4() != to.addr.Is4() {
				continue
			}
			for port := uint16(9); port < 16; port++ {
				before, after := was.Allowed(from.addr, to.addr, acl.TCP, port), is.Allowed(from.addr, to.addr, acl.TCP, port)
				e := edge{from.name(), to.name(), port}
				gained[e] = gained[e] || after && !before
				lost[e] = lost[e] || before && !after
			}
		}
	}
	return gained, lost
}
