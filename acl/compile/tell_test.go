package compile_test

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl/compile"
)

const crowdPolicy = `{"groups": {"group:it": ["ada@h"]}, "tagOwners": {"tag:pc": [], "tag:db": [], "tag:gw": []}, "hosts": {"scanner": "10.33.1.5"}, "grants": [
	{"src": ["tag:pc"], "dst": ["tag:pc", "tag:db"], "ip": ["tcp:22"]}, {"src": ["group:it"], "dst": ["tag:db", "scanner"], "ip": ["*"]},
	{"src": ["autogroup:member"], "dst": ["autogroup:self", "autogroup:internet"], "ip": ["*"]}, {"src": ["100.64.0.3"], "dst": ["tag:gw"], "ip": ["*"]}]}`

// drawCrowded draws a node of a mesh in which many are of one kind. Its address may be
// another's, so that two move at once when one of them comes or goes.
func drawCrowded(t *rapid.T) compile.Node {
	i := rapid.IntRange(1, 16).Draw(t, "node")
	n := compile.Node{ID: fmt.Sprint("n", i), Name: draw(t, "name", []string{"x", "y"})}
	at := i
	if rapid.IntRange(0, 4).Draw(t, "contest") == 0 {
		at = 1 + i%16
	}
	n.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{100, 64, 0, byte(at)})}
	switch draw(t, "kind", []string{"pc", "pc", "db", "gw", "exit", "ada", "ada", "ben"}) {
	case "pc":
		n.Tags = []string{"tag:pc"}
	case "db":
		n.Tags = []string{"tag:db"}
	case "gw":
		n.Tags, n.Routes = []string{"tag:gw"}, []netip.Prefix{netip.MustParsePrefix("10.33.0.0/16")}
	case "exit":
		n.Tags, n.Routes = []string{"tag:db"}, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	case "ada":
		n.User = "ada@h"
	case "ben":
		n.User = "ben@h"
	}
	return n
}

// Nodes of one kind are told as one, and those who stand apart each by itself: so must all
// hear what they see differently, no less, no more and once.
func TestCrowdsHearWhatTheySee(t *testing.T) {
	pol := parse(t, crowdPolicy)
	rapid.Check(t, func(t *rapid.T) {
		w := world{nodes: map[string]compile.Node{}}
		for range 12 {
			n := drawCrowded(t)
			w.nodes[n.ID] = n
		}
		m := compile.New(pol, ranges())
		m.Load(slices.Collect(maps.Values(w.nodes)))
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			before := w.snapshot(m)
			n := drawCrowded(t)
			var change compile.Change
			if rapid.IntRange(0, 2).Draw(t, "goes") == 0 {
				change = m.Remove(n.ID)
				delete(w.nodes, n.ID)
			} else {
				change = m.Put(n)
				w.nodes[n.ID] = n
			}
			after := w.snapshot(m)
			got, want := changeOf(change), difference(before, after)
			checkEnded(t, got, want, before, after, n.ID)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("after %+v: change\n%+v, want\n%+v\n%+v", n, got, want, w.nodes)
			}
		}
	})
}

// An exit node that is one no more and another node that moves with it are both told that
// they lost each other, whichever is looked at first.
func TestExitThatEndsIsLostOnBothSides(t *testing.T) {
	m := compile.New(parse(t, crowdPolicy), ranges())
	ben := compile.Node{ID: "ben", User: "ben@h", Addrs: two("100.64.0.1", "fd7a::1")}
	exit := compile.Node{ID: "exit", Tags: []string{"tag:gw"}, Addrs: []netip.Addr{addr("100.64.0.1"), addr("100.64.0.2")}, Routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
	m.Load([]compile.Node{ben, exit})
	if !m.Sees("ben", "exit") {
		t.Fatal("no exit node to begin with")
	}
	exit.Addrs, exit.Routes = exit.Addrs[1:], nil
	got := changeOf(m.Put(exit))
	if fmt.Sprint(got["ben"].removed, got["exit"].removed, got["ben"].self) != "[exit] [ben] true" {
		t.Errorf("told are %+v", got)
	}
}

// Where one rule leads into a segment and elsewhere too, whoever sends is asked for the
// segment's floor there, and for nothing elsewhere.
func TestRuleIntoASegmentAndElsewhereIsTwo(t *testing.T) {
	m := compile.New(parse(t, inSegments(`"100.64.0.2"`)), ranges())
	m.Load([]compile.Node{{ID: "ada", User: "ada@h", Addrs: two("100.64.0.1", "fd7a::1")}, {ID: "ehr", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.2", "fd7a::2")},
		{ID: "other", Tags: []string{"tag:ehr"}, Addrs: two("100.64.0.4", "fd7a::4")}})
	asked := make(map[string]int)
	for _, r := range m.Rules("ada").Out {
		for _, id := range []string{"ehr", "other"} {
			if r.ID == "tag" && slices.Contains(r.Dst, m.Prefixes(id)[0].Class) {
				asked[id] += 1 + len(r.Needs)
			}
		}
	}
	if fmt.Sprint(asked) != "map[ehr:2 other:1]" {
		t.Errorf("rules, and what they need: %v\n%+v", asked, m.Rules("ada").Out)
	}
}
