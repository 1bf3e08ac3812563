package filter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
)

// However many sets of facts the rules need, whether worked out ahead or not: each
// lets begin a flow of who has all of its facts, until the first of them ends, and of
// nobody else.
func TestEachSetOfFactsIsKnown(t *testing.T) {
	const facts = 40
	c := largeMap(2, 0)
	c.Peers[0].Facts, c.Peers[1].Facts = nil, []acl.FactEnd{{Fact: "login", Until: noon().Add(time.Hour)}}
	fact := func(n int) acl.Fact { return acl.Fact(fmt.Sprint("fact", n)) }
	for n := range facts {
		c.Peers[0].Facts = append(c.Peers[0].Facts, acl.FactEnd{Fact: fact(n), Until: noon().Add(time.Duration(n) * time.Minute)})
		c.Rules.In = append(c.Rules.In, acl.Rule{
			ID: acl.RuleID(fmt.Sprint("rule", n)), Src: []acl.Class{100, 101}, Dst: []acl.Class{1},
			Needs: []acl.Fact{fact(facts - 1), fact(n), fact(facts - 1)}, // twice, and in no order
			Open:  []acl.Service{{Protocol: acl.TCP, First: uint16(100 + n), Last: uint16(100 + n)}},
		})
	}
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	for at := range facts + 1 {
		now := noon().Add(time.Duration(at) * time.Minute)
		for n := range facts {
			if v := judge(f, now, filter.In, segment(0, 1000+at, uint16(100+n), 2)); v.Allow != (at < n) || !v.Allow && v.Reason != acl.FactEnded {
				t.Fatalf("minute %d, fact %d: %v", at, n, v)
			}
			if v := judge(f, now, filter.In, segment(1, 1000+at, uint16(100+n), 2)); v.Reason != acl.FactEnded {
				t.Fatalf("minute %d, somebody without fact %d: %v", at, n, v)
			}
		}
	}
}

// A flow ends with the first of its facts, to the nanosecond, by whichever way that
// end was found.
func TestFlowEndsWithEachSetOfFacts(t *testing.T) {
	const facts = 40
	c := largeMap(1, 0)
	c.Peers[0].Facts = nil
	for n := range facts {
		fact := acl.Fact(fmt.Sprint("fact", n))
		c.Peers[0].Facts = append(c.Peers[0].Facts, acl.FactEnd{Fact: fact, Until: noon().Add(time.Duration(n+1) * time.Minute)})
		c.Rules.In = append(c.Rules.In, acl.Rule{
			ID: acl.RuleID(fmt.Sprint("rule", n)), Src: []acl.Class{100}, Dst: []acl.Class{1}, Needs: []acl.Fact{fact},
			Open: []acl.Service{{Protocol: acl.TCP, First: uint16(100 + n), Last: uint16(100 + n)}},
		})
	}
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	flow := func(n int) uint16 { return uint16(100 + n) }
	for n := range facts {
		judge(f, noon(), filter.In, segment(0, 1000, flow(n), 2))
		judge(f, noon(), filter.Out, answered(segment(0, 1000, flow(n), 0x12)))
	}
	for n := range facts {
		end := noon().Add(time.Duration(n+1) * time.Minute)
		if v := judge(f, end.Add(-1), filter.In, segment(0, 1000, flow(n), 16)); !v.Allow {
			t.Errorf("fact %d, just before its end: %v", n, v)
		}
		if v := judge(f, end, filter.In, segment(0, 1000, flow(n), 16)); v.Allow {
			t.Errorf("fact %d, at its end: %v", n, v)
		}
	}
}
