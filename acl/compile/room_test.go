// The compiler is one goroutine, and the race detector costs ten times the time.
//go:build !race

package compile_test

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// people gives nodes, each of a person of their own, all in some groups of a provider.
func people(n int, groups ...string) []compile.Node {
	nodes := make([]compile.Node, n)
	for i := range nodes {
		nodes[i] = compile.Node{
			ID: fmt.Sprintf("n%05d", i), User: fmt.Sprintf("p%d@h", i), Groups: groups,
			Addrs: []netip.Addr{netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}), netip.AddrFrom16([16]byte{0xfd, 0x7a, 14: byte(i >> 8), 15: byte(i)})},
		}
	}
	return nodes
}

// gateways gives nodes that all front one network.
func gateways(n int) []compile.Node {
	nodes := people(n)
	for i := range nodes {
		nodes[i].User, nodes[i].Tags = "", []string{"tag:gw", fmt.Sprintf("tag:g%d", i)}
		nodes[i].Routes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}
	return nodes
}

// allocated gives how many megabytes something allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

func always(rule string) func(int) string { return func(int) string { return rule } }

// What a policy costs on the nodes that there are is bounded: it is refused before the
// memory is taken, with the place of the first of the rules that cost most, and what is
// left denies all.
func TestTooLargeOnTheseNodes(t *testing.T) {
	everyone := `{"src": [` + repeated(9_000, func(i int) string { return fmt.Sprintf(`"p%d@h"`, i) }) + `], "dst": ["*"], "ip": ["tcp:1"]},`
	pairs := repeated(900, func(i int) string {
		return fmt.Sprintf(`{"src": ["p%d@h"], "dst": ["p%d@h"], "ip": ["tcp:1"]}`, i, i+1)
	})
	tags := `"tagOwners": {"tag:gw": [],` + repeated(500, func(i int) string { return fmt.Sprintf(`"tag:g%d": []`, i) }) + `}`
	each := repeated(100, func(i int) string { return fmt.Sprintf(`{"src": ["tag:g%d"], "dst": ["*"], "ip": ["tcp:1"]}`, i) })
	for name, c := range map[string]struct {
		text  string
		nodes []compile.Node
		says  string
	}{
		"each person under each rule": {`{"grants": [` + everyone + repeated(8_000, always(`{"src": ["*"], "dst": ["x@h"], "ip": ["tcp:2"]}`)) + `]}`, people(9_000), `most of it is by "*", which stands in 8000 rules of the file`},
		"rules of each person":        {`{"grants": [` + pairs + repeated(3_000, always(`{"src": ["*"], "dst": ["p0@h"], "ip": ["tcp:2"]}`)) + `]}`, people(1_000), `more than 2000000 rules`},
		"groups of each person": {`{"groups": {` + repeated(12_000, func(i int) string { return fmt.Sprintf(`"group:g%d": ["scim:all"]`, i) }) + `}, "grants": [{"src": [` +
			repeated(12_000, func(i int) string { return fmt.Sprintf(`"group:g%d"`, i) }) + `], "dst": ["*"], "ip": ["tcp:1"]}]}`, people(10_000, "scim:all"), `more than 20000000 times`},
		"gateways before addresses": {`{` + tags + `, "grants": [` + each + repeated(200, always(`{"src": ["10.0.0.0/8"], "dst": ["x@h"], "ip": ["tcp:2"]}`)) +
			`{"src": ["x@h"], "dst": [` + repeated(10_000, func(i int) string { return fmt.Sprintf(`"10.%d.%d.%d"`, i>>16, i>>8&255, i&255) }) + `], "ip": ["tcp:3"]}]}`, gateways(100), `most of it is by "10.0.0.0/8", which stands in 200 rules of the file`},
		"spans of each person": {`{"schedules": {"s": {"tz": "UTC", "weekly": [` + repeated(100, func(i int) string { return fmt.Sprintf(`"Mon %02d:%02d-%02d:%02d"`, i/6, i%6*10, i/6, i%6*10+5) }) + `]}}, "grants": [` +
			pairs + repeated(1_000, always(`{"src": ["*"], "dst": ["p0@h"], "ip": ["tcp:2"], "when": {"schedule": "s"}}`)) + `]}`, people(1_000), `more than 2000000 rules`},
	} {
		t.Run(name, func(t *testing.T) {
			pol, _, err := policy.Options{NoWarnings: true}.Parse("p", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var m *compile.Mesh
			used := allocated(func() {
				m = compile.New(pol, ranges())
				m.Advance(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
				err = m.LoadWithin(c.nodes)
			})
			var large *compile.TooLarge
			if !errors.As(err, &large) || !strings.Contains(err.Error(), c.says) || large.Pos.Line != 1 || large.Pos.Column < 2 {
				t.Errorf("%.300v, want %q", err, c.says)
			}
			if used > 200 {
				t.Errorf("%d MB were allocated", used)
			}
			if rules := m.Rules("n00001"); len(rules.In)+len(rules.Out) > 0 || m.Policy() != nil {
				t.Error("what was refused is obeyed")
			}
		})
	}
}

// What a large hospital needs is taken: 10,000 nodes under 5,000 rules, and each of them
// is told its rules.
func TestALargeHospitalFits(t *testing.T) {
	text, nodes := hospitalOf(10_000, 600, 1_200, 5_000)
	pol, _, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := compile.New(pol, ranges())
	want.Load(nodes)
	var m *compile.Mesh
	used := allocated(func() {
		m = compile.New(pol, ranges())
		if err := m.LoadWithin(nodes); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			m.Rules(n.ID)
		}
	})
	if used > 300 {
		t.Errorf("%d MB were allocated", used)
	}
	for _, n := range nodes[:200] {
		if a, b := want.Rules(n.ID), m.Rules(n.ID); fmt.Sprint(a) != fmt.Sprint(b) || len(a.In)+len(a.Out) == 0 {
			t.Fatalf("%s: %v, want %v", n.ID, b, a)
		}
	}
}

// A route is approved by the approvers alone: that costs nothing of what the rules of the
// policy would, however often it is asked, nor what a name costs that stands there twice.
func TestApprovingCompilesNothing(t *testing.T) {
	text, nodes := hospitalOf(10_000, 600, 1_200, 5_000)
	text = strings.TrimSuffix(text, "}") + `, "autoApprovers": {"routes": {"10.0.0.0/8": [` + repeated(20_000, always(`"group:g1"`)) + `"tag:t1"]}}}`
	pol, _, err := policy.Options{NoWarnings: true}.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	routes := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.168.0.0/16")}
	used := allocated(func() {
		for _, n := range nodes[:1_000] {
			approved := compile.RoutesApproved(pol, n, routes)
			if tagged := len(n.Tags) > 0 && n.Tags[0] == "tag:t1"; tagged && len(approved) != 1 {
				t.Fatalf("%v: %v", n.Tags, approved)
			}
		}
	})
	if used > 10 {
		t.Errorf("%d MB were allocated", used)
	}
	if who := pol.AutoApprovers().Routes[0].Who; len(who) != 2 {
		t.Errorf("%d approvers", len(who))
	}
}

// Attributes that every entry gives to every node cost no more than those of the nodes.
func TestAttributesOfAll(t *testing.T) {
	text := `{"grants": [], "nodeAttrs": [` + repeated(2_000, func(i int) string { return fmt.Sprintf(`{"target": ["*"], "attr": ["a", "b%d"]}`, i) }) + `]}`
	pol, _, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m := compile.New(pol, ranges())
	m.Load(people(2_000))
	var carried map[string][]string
	used := allocated(func() { carried = m.Attributes([]string{"a", "b7", "c"}) })
	if len(carried["a"]) != 2_000 || len(carried["b7"]) != 2_000 || len(carried) != 2 || carried["a"][7] != "n00007" {
		t.Errorf("%d, %d and %d carry them", len(carried["a"]), len(carried["b7"]), len(carried["c"]))
	}
	if used > 10 {
		t.Errorf("%d MB were allocated", used)
	}
}
