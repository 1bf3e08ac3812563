package compile_test

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// checkEnded holds who is told in a hurry to what a comparison of all views finds:
// whoever held a flow open to a peer that the same rules open no more, or whose
// facts end sooner; and nobody for whom nothing changed but what is new. In between
// haste is free. What was judged is noted in want.
func checkEnded(t *rapid.T, got, want map[string]view, before, after map[string]seen, put string) {
	for id, v := range want {
		was, known := before[id]
		is := after[id]
		v.ended = got[id].ended
		want[id] = v
		must, may := known && id == put && (sooner(was.self.facts, is.self.facts) || unseated(was.self, is.self)), worse(was.self, is.self)
		for peer, now := range is.peers {
			if old, ok := was.peers[peer]; ok {
				must = must || peer == put && (sooner(old.facts, now.facts) || unseated(old, now)) || !v.rules && opensLess(is.rules, old, now, was.self)
				may = may || worse(old, now)
			}
		}
		if must && !v.ended && !v.rules || v.ended && known && !may {
			t.Fatalf("%s is told of an end: %v, must %v, may %v\n%+v\n%+v", id, v.ended, must, may, was, is)
		}
	}
}

// worse tells whether anything of what one is told changed that is no fact more.
func worse(was, is told) bool {
	if was.owner != is.owner || !reflect.DeepEqual(was.prefixes, is.prefixes) || sooner(was.facts, is.facts) || unseated(was, is) {
		return true
	}
	return slices.ContainsFunc(was.seats, func(s compile.Seated) bool {
		return slices.ContainsFunc(is.seats, func(o compile.Seated) bool {
			return o.Session == s.Session && !reflect.DeepEqual(o.Prefixes, s.Prefixes)
		})
	})
}

// unseated tells whether a seat is no more, or its facts end sooner.
func unseated(was, is told) bool {
	return slices.ContainsFunc(was.seats, func(s compile.Seated) bool {
		return !slices.ContainsFunc(is.seats, func(o compile.Seated) bool {
			return o.Session == s.Session && reflect.DeepEqual(o.Addrs, s.Addrs) && !sooner(s.Facts, o.Facts)
		})
	})
}

// opensLess tells whether rules that stay open or do not forbid a flow with what a
// peer was, and not with what it is. Facts and windows are left out.
func opensLess(rules acl.RuleSet, was, is, self told) bool {
	for _, p := range append(was.prefixes, is.prefixes...) {
		old, fresh := seatIn(was, p.Prefix.Addr()), seatIn(is, p.Prefix.Addr())
		for _, mine := range self.prefixes {
			own := seat{class: mine.Class, owner: self.owner}
			for _, service := range probes() {
				if old.class != 0 && (judge(rules.In, old, own, service) && !judge(rules.In, fresh, own, service) ||
					judge(rules.Out, own, old, service) && !judge(rules.Out, own, fresh, service) ||
					!judge(rules.ForbidIn, old, own, service) && judge(rules.ForbidIn, fresh, own, service) ||
					!judge(rules.ForbidOut, own, old, service) && judge(rules.ForbidOut, own, fresh, service)) {
					return true
				}
			}
		}
	}
	return false
}

func probes() []acl.Service {
	return []acl.Service{{Protocol: acl.TCP, First: 22}, {Protocol: acl.TCP, First: 443}, {Protocol: acl.UDP, First: 22}}
}

func seatIn(of told, a netip.Addr) (s seat) {
	s.owner = of.owner
	bits := -1
	for _, p := range of.prefixes {
		if p.Prefix.Contains(a) && p.Prefix.Bits() > bits {
			s.class, bits = p.Class, p.Prefix.Bits()
		}
	}
	return s
}

// A person who leaves a group, or comes into one that is forbidden something, takes
// rights from those who may be reached: they are told before whoever gains any.
func TestWhoLeavesAGroupIsToldOfInAHurry(t *testing.T) {
	const text = `{"tagOwners": {"tag:ehr": [], "tag:cart": []}, "groups": {"group:icu": ["idp:icu"], "group:bad": ["idp:bad"], "group:lab": ["idp:lab"]}, "grants": [
  {"src": ["group:icu", "tag:cart"], "dst": ["tag:ehr"], "ip": ["443"]}, {"src": ["group:lab", "ada@h"], "dst": ["tag:ehr"], "ip": ["22"]}],
 "forbid": [{"src": ["group:bad"], "dst": ["tag:ehr"], "ip": ["22"]}]}`
	pol, _, err := policy.Parse("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	n, other := bedNode(1, "ada@h"), bedNode(4, "ben@h")
	other.Groups = []string{"idp:icu", "idp:lab", "idp:bad"}
	m := compile.New(pol, ranges())
	m.Load([]compile.Node{n, bedNode(2, "tag:ehr"), bedNode(3, "tag:cart"), other})
	for _, tt := range []struct {
		groups []string
		ended  bool
	}{
		{[]string{"idp:icu"}, false},
		{[]string{"idp:icu", "idp:lab"}, false},
		{[]string{"idp:lab"}, true},
		{nil, true},
		{[]string{"idp:bad"}, true}, // one more, which is forbidden something
		{nil, true},
		{[]string{"idp:nowhere"}, false},
	} {
		n.Groups = tt.groups
		got := changeOf(m.Put(n))
		if v, ok := got["n2"]; ok && v.ended != tt.ended || !ok && tt.ended {
			t.Errorf("in %v now: %+v, want ended %v", tt.groups, got, tt.ended)
		}
	}
	n.Groups, n.Facts = []string{"idp:icu"}, []acl.FactEnd{{Fact: "unasked", Until: wardStart().Add(time.Hour)}}
	if got := changeOf(m.Put(n)); got["n2"].ended {
		t.Errorf("gains a group: %+v", got)
	}
}

// So does an edit of the policy that leaves the rules as they are.
func TestWhomAnEditTakesFromAGroupIsToldOfInAHurry(t *testing.T) {
	pol := func(members string) *policy.Policy {
		p, _, err := policy.Parse("p", []byte(`{"tagOwners": {"tag:ehr": []}, "groups": {"group:lab": [`+members+`]},
 "grants": [{"src": ["group:lab"], "dst": ["tag:ehr"], "ip": ["22"]}, {"src": ["autogroup:member"], "dst": ["tag:ehr"], "ip": ["443"]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	m := compile.New(pol(`"ada@h", "ben@h"`), ranges())
	m.Load([]compile.Node{bedNode(1, "ada@h"), bedNode(2, "tag:ehr"), bedNode(3, "ben@h"), bedNode(4, "cem@h")})
	want := map[string]view{"n1": {self: true, ended: true}, "n2": {upserted: []string{"n1"}, ended: true}}
	got := changeOf(m.SetPolicy(pol(`"ben@h"`)))
	for id := range want {
		v := got[id]
		if v.rules = false; !reflect.DeepEqual(v, want[id]) {
			t.Errorf("%s is told %+v, want %+v", id, v, want[id])
		}
	}
	if got["n2"].rules {
		t.Errorf("the rules are others: this shows nothing: %+v", got)
	}
}
