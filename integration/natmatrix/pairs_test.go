//go:build linux

package main

import (
	"regexp"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

func TestVerdicts(t *testing.T) {
	for want, r := range map[string]result{
		"DOES NOT CONNECT": {pair{direct: true}, lab.Meeting{First: -1, Direct: -1}},
		"SLOW":             {pair{}, lab.Meeting{First: 2001 * time.Millisecond, Direct: -1}},
		"NOT DIRECT":       {pair{direct: true}, lab.Meeting{First: time.Second, Direct: -1}},
		"SLOW, NOT DIRECT": {pair{direct: true}, lab.Meeting{First: 3 * time.Second, Direct: 11 * time.Second}},
		"NOT ON THE LAN":   {pair{direct: true, local: true}, lab.Meeting{First: time.Second, Direct: time.Second}},
		"ok":               {pair{direct: true}, lab.Meeting{First: time.Second, Direct: 9 * time.Second}},
	} {
		if got := r.verdict(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	if r := (result{pair{}, lab.Meeting{First: time.Second, Direct: -1}}); !r.ok() {
		t.Errorf("relayed as theory says: %q", r.verdict())
	}
}

func TestPlanHasEveryPairOnce(t *testing.T) {
	pairs, sites := plan(regexp.MustCompile("."))
	n := len(lab.Sites())
	if want := n*(n+1)/2 + len(lab.SharedSites()); len(pairs) != want {
		t.Errorf("%d pairs, want %d", len(pairs), want)
	}
	have := map[string]bool{}
	for _, s := range sites {
		for _, name := range s.NodeNames() {
			if have[name] {
				t.Errorf("two nodes are called %s", name)
			}
			have[name] = true
		}
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		if p.a == p.b || !have[p.a] || !have[p.b] || seen[p.a+p.b] {
			t.Errorf("%+v is no pair of two nodes, or is there twice", p)
		}
		seen[p.a+p.b] = true
	}
	if few, _ := plan(regexp.MustCompile(`^home \+ `)); len(few) == 0 || len(few) >= n {
		t.Errorf("%d pairs begin with home", len(few))
	}
}
