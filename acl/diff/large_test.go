package diff_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
)

// hall has 130 people, of whom every tenth has two machines, 150 tagged nodes, three to a
// tag, and a gateway of 120 networks.
func hall() (nodes []compile.Node, all []spot) {
	add := func(name, user string, routes []netip.Prefix, tags ...string) {
		at := netip.AddrFrom4([4]byte{100, 64, byte(len(nodes) >> 8), byte(len(nodes))})
		nodes = append(nodes, compile.Node{ID: "n-" + name, Name: name, User: user, Tags: tags, Routes: routes, Addrs: []netip.Addr{at}})
		all = append(all, spot{addr: at, node: name, user: user})
	}
	for i := range 130 {
		add(fmt.Sprintf("pc%d", i), fmt.Sprintf("u%d@h", i), nil)
		if i%10 == 0 {
			add(fmt.Sprintf("laptop%d", i), fmt.Sprintf("u%d@h", i), nil)
		}
	}
	for i := range 150 {
		add(fmt.Sprintf("box%d", i), "", nil, fmt.Sprintf("tag:t%d", i/3))
	}
	var routes []netip.Prefix
	for i := range 120 {
		routes = append(routes, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 20, byte(i), 0}), 24))
	}
	add("gate", "", routes, "tag:gate")
	for i, r := range routes {
		all = append(all, spot{addr: r.Addr().Next(), node: "gate", network: fmt.Sprintf("10.20.%d.0/24 behind gate", i)})
	}
	return nodes, all
}

// hallPolicy has rules among a few of a hall, and some more.
func hallPolicy(r *rand.Rand, more ...string) string {
	var groups, tags, hosts, rules strings.Builder
	for i := range 10 {
		fmt.Fprintf(&groups, `"group:g%d": ["u%d@h", "u%d@h", "u%d@h"],`, i, i, 13+i, 40+i)
	}
	for i := range 50 {
		fmt.Fprintf(&tags, `"tag:t%d": [],`, i)
	}
	for i := range 120 {
		fmt.Fprintf(&hosts, `"net%d": "10.20.%d.0/24",`, i, i)
		fmt.Fprintf(&rules, `{"src": ["nobody@h"], "dst": ["net%d"], "ip": ["tcp:1"]},`, i)
	}
	pick := func() string {
		return []string{fmt.Sprintf("group:g%d", r.IntN(10)), fmt.Sprintf("u%d@h", 10*r.IntN(13)), fmt.Sprintf("tag:t%d", r.IntN(50)), fmt.Sprintf("net%d", r.IntN(120)), "tag:gate"}[r.IntN(5)]
	}
	for range 30 {
		fmt.Fprintf(&rules, `{"src": [%q], "dst": [%q], "ip": ["tcp:80"]},`, pick(), pick())
	}
	return `{"groups": {` + groups.String() + `}, "tagOwners": {"tag:gate": [],` + tags.String() + `}, "hosts": {` + hosts.String() + `}, "grants": [` + rules.String() + strings.Join(more, ",") + `]}`
}

// TestAgreesWithEveryPairOfMany: what opens most of a large mesh to most of it is told by
// what it leaves out, and still is what a question about each pair would find.
func TestAgreesWithEveryPairOfMany(t *testing.T) {
	nodes, all := hall()
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 2))
		was := mesh(parse(t, hallPolicy(r)), nodes)
		is := mesh(parse(t, hallPolicy(r, `{"src": ["*"], "dst": ["*"], "ip": ["tcp:80"]}`, `{"src": ["autogroup:member"], "dst": ["autogroup:tagged"], "ip": ["tcp:80"]}`)), nodes)
		d := diff.Meshes(was, is)
		gained, lost := pairs(all, d.Gained), pairs(all, d.Lost)
		excepted := 0
		for i, from := range all {
			for k, to := range all {
				if from.node == to.node {
					continue
				}
				before, after := was.Allowed(from.addr, to.addr, acl.TCP, 80), is.Allowed(from.addr, to.addr, acl.TCP, 80)
				at := i*len(all) + k
				own := from.user != "" && from.user == to.user // of these too much may be told
				if gained[at] != (after && !before) && !own || lost[at] != (before && !after) && !own {
					t.Fatalf("seed %d: from %v to %v: before %t, after %t, told gained %t and lost %t", seed, from, to, before, after, gained[at], lost[at])
				}
			}
		}
		for _, c := range d.Gained {
			if c.Where.Except != nil {
				excepted++
			}
			if len(c.Where.People)+len(c.Where.Nodes)+len(c.Where.Networks) > 300 {
				t.Errorf("seed %d: a line names %d places", seed, len(c.Where.Nodes))
			}
		}
		if excepted == 0 {
			t.Errorf("seed %d: nothing is told by what it leaves out", seed)
		}
	}
}

// pairs gives between which spots changes speak of anything.
func pairs(all []spot, changes []diff.Change) map[int]bool {
	told := make(map[int]bool)
	for _, c := range changes {
		there := make([]bool, len(all))
		for k, to := range all {
			there[k] = within(c.Where, to)
		}
		for i, from := range all {
			for k, to := range all {
				if (there[k] || c.Where.Own && from.user != "" && from.user == to.user) && within(c.Who, from) {
					told[i*len(all)+k] = true
				}
			}
		}
	}
	return told
}

// Most of a large mesh is named by what it leaves out, sort by sort.
func TestMostOfAMeshIsNamedByWhatIsLeftOut(t *testing.T) {
	nodes, _ := hall()
	r := func() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }
	base := hallPolicy(r())
	for _, c := range []struct{ rules, want string }{
		{`{"src": ["u5@h"], "dst": ["*"], "ip": ["tcp:99"]}`, "+ u5@h gains tcp/99 at all 130 people (but u5@h), all 151 tagged nodes and all 120 networks\n"},
		{`{"src": ["tag:t7"], "dst": ["*"], "ip": ["tcp:99"]}`, "+ 3 nodes with tag:t7 gain tcp/99 at all 130 people, all 151 tagged nodes and all 120 networks\n"},
		{`{"src": ["autogroup:member"], "dst": ["tag:t3"], "ip": ["tcp:99"]}`, "+ all 130 people gain tcp/99 at 3 nodes with tag:t3\n"},
	} {
		got := told(diff.Meshes(mesh(parse(t, base), nodes), mesh(parse(t, hallPolicy(r(), c.rules)), nodes)))
		if got != c.want {
			t.Errorf("told is\n%swant\n%s", got, c.want)
		}
	}
	var tags []string
	for i := range 50 {
		tags = append(tags, fmt.Sprintf(`"tag:t%d"`, i))
	}
	d := diff.Meshes(mesh(parse(t, base), nodes), mesh(parse(t, hallPolicy(r(), `{"src": ["u5@h"], "dst": [`+strings.Join(tags[:30], ",")+`], "ip": ["tcp:99"]}`)), nodes))
	if len(d.Gained) != 1 || len(d.Gained[0].Where.Nodes) != 90 || !strings.HasSuffix(d.Gained[0].Text, " and 30 nodes with 10 more tags") {
		t.Errorf("told is %s", told(d))
	}
}
