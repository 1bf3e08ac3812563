package compile_test

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// TestAgreesWithTheAliases compares the compiled mesh with the model for every
// pair of addresses that could make a difference: Allowed, the receiver's
// rules, the sender's rules, and who sees whom.
func TestAgreesWithTheAliases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{drawModel(t), drawNodes(t)}
		m := compile.New(parse(t, w.text()), ranges())
		m.Load(slices.Collect(maps.Values(w.nodes)))
		checkFlows(t, w, m)
		for a := range w.nodes {
			for b := range w.nodes {
				if want := a != b && w.sees(w.nodes[a], w.nodes[b]); m.Sees(a, b) != want {
					t.Fatalf("Sees(%s, %s) = %v, want %v\n%s\n%+v", a, b, !want, want, w.text(), w.nodes)
				}
			}
		}
	})
}

func checkFlows(t *rapid.T, w world, m *compile.Mesh) {
	lookup := tableOf(w, m)
	probes := []acl.Service{{Protocol: acl.TCP, First: 22}, {Protocol: acl.TCP, First: 85}, {Protocol: acl.UDP, First: 22}, {Protocol: acl.ICMP}, {Protocol: 47}}
	for _, src := range w.ends() {
		for _, dst := range w.ends() {
			if src.Is4() != dst.Is4() {
				continue
			}
			for _, probe := range probes {
				probe = pingOf(probe, dst)
				want := w.allows(src, dst, probe.Protocol, int(probe.First))
				if got := m.Allowed(src, dst, probe.Protocol, probe.First); got != want {
					t.Fatalf("Allowed(%s, %s, %v) = %v, want %v\n%s\n%+v", src, dst, probe, got, want, w.text(), w.nodes)
				}
				checkRules(t, w, m, lookup, src, dst, probe, want)
			}
		}
	}
}

// pingOf gives the echo request of an address's family for that of IPv4, and any other
// probe as it is.
func pingOf(probe acl.Service, to netip.Addr) acl.Service {
	if probe.Protocol == acl.ICMP && to.Is6() {
		probe.Protocol = acl.ICMPv6
	}
	return probe
}

// seat is where an address stands in the map of somebody who sees all nodes.
type seat struct {
	class acl.Class
	owner acl.Owner
	ids   []string // nodes that have or route it
}

// tableOf puts the prefixes of all nodes together, longest first.
func tableOf(w world, m *compile.Mesh) func(netip.Addr) seat {
	return func(a netip.Addr) seat {
		if n, _ := w.hostOf(a); w.seat(a) {
			for _, s := range m.Seats(n.ID) {
				for _, pc := range s.Prefixes {
					if pc.Prefix.Addr() == a {
						return seat{pc.Class, m.Owner(n.ID), []string{n.ID}}
					}
				}
			}
			return seat{ids: []string{n.ID}}
		}
		var best seat
		bits := -1
		for id := range w.nodes {
			for _, pc := range m.Prefixes(id) {
				switch {
				case !pc.Prefix.Contains(a) || pc.Prefix.Bits() < bits:
				case pc.Prefix.Bits() > bits:
					best, bits = seat{pc.Class, m.Owner(id), []string{id}}, pc.Prefix.Bits()
				default:
					best.ids = append(best.ids, id)
				}
			}
		}
		return best
	}
}

// checkRules judges a flow by the compiled rules of both of its ends.
func checkRules(t *rapid.T, w world, m *compile.Mesh, lookup func(netip.Addr) seat, src, dst netip.Addr, probe acl.Service, want bool) {
	from, to := lookup(src), lookup(dst)
	if w.contested(src) || w.contested(dst) {
		return // in no map: whoever claims it has no such prefix
	}
	if w.seat(dst) {
		return // rules may know its class as they know its machine's: filters let nobody call it
	}
	for _, id := range to.ids {
		if got := judge(m.Rules(id).In, from, to, probe); len(from.ids) > 0 && got != want {
			t.Fatalf("In of %s: %s > %s %v = %v, want %v\n%s\n%+v\n%+v", id, src, dst, probe, got, want, w.text(), w.nodes, m.Rules(id))
		}
	}
	for _, id := range from.ids {
		if got := judge(m.Rules(id).Out, from, to, probe); len(to.ids) > 0 && got != want {
			t.Fatalf("Out of %s: %s > %s %v = %v, want %v\n%s\n%+v", id, src, dst, probe, got, want, w.text(), w.nodes)
		}
	}
}

func judge(rules []acl.Rule, from, to seat, probe acl.Service) bool {
	for _, r := range rules {
		if !slices.Contains(r.Src, from.class) || !slices.Contains(r.Dst, to.class) {
			continue
		}
		if r.SameOwner && (from.owner == 0 || from.owner != to.owner) {
			continue
		}
		for _, s := range r.Open {
			if probe.Protocol == acl.ICMP || probe.Protocol == acl.ICMPv6 || s.Protocol == probe.Protocol && s.First <= probe.First && probe.First <= s.Last {
				return true
			}
		}
	}
	return false
}

// seen is all that one node is told.
type seen struct {
	self  told
	rules acl.RuleSet
	peers map[string]told
}

type told struct {
	name     string
	owner    acl.Owner
	prefixes []acl.PrefixClass
	facts    []acl.FactEnd
	seats    []compile.Seated
}

func (w world) snapshot(m *compile.Mesh) map[string]seen {
	all := make(map[string]seen)
	tell := func(id string) told {
		var facts []acl.FactEnd
		for _, e := range m.Facts(id) {
			facts = append(facts, acl.FactEnd{Fact: e.Fact, Until: e.Until.UTC()})
		}
		seats := slices.Clone(m.Seats(id))
		for i := range seats { // no facts and none that rules ask for are the same
			seats[i].Facts = append([]acl.FactEnd(nil), seats[i].Facts...)
		}
		return told{w.nodes[id].Name, m.Owner(id), slices.Clone(m.Prefixes(id)), facts, seats}
	}
	for id := range w.nodes {
		s := seen{self: tell(id), rules: clone(m.Rules(id)), peers: make(map[string]told)}
		for peer := range m.Peers(id) {
			if _, twice := s.peers[peer]; twice || peer == id {
				panic("peer twice or itself: " + peer)
			}
			s.peers[peer] = tell(peer)
		}
		all[id] = s
	}
	return all
}

// given is a node's rules as the mesh hands them out.
type given struct {
	set  *compile.Set
	full acl.RuleSet
}

func (w world) given(m *compile.Mesh) map[string]given {
	all := make(map[string]given)
	for id := range w.nodes {
		all[id] = given{m.Set(id), m.Rules(id)}
	}
	return all
}

// checkGiven fails if what was given before a step says another thing after it: the mesh
// never writes into it again.
func checkGiven(t *rapid.T, all map[string]given, before map[string]seen) {
	for id, g := range all {
		for _, rules := range []acl.RuleSet{g.set.Rules(), g.full} {
			if !reflect.DeepEqual(clone(rules), before[id].rules) {
				t.Fatalf("the step wrote into rules given before:\n%+v\n%+v", rules, before[id].rules)
			}
		}
	}
}

// checkShared fails if any who share news have not one rule set: whoever makes all sets
// anew asks for one of them.
func checkShared(t *rapid.T, m *compile.Mesh, c compile.Change) {
	sets := make(map[*compile.News]*compile.Set)
	for v := range c.Views() {
		if set, known := sets[v.News]; known && set != m.Set(v.Node) {
			t.Fatalf("%s shares news and has a set of its own", v.Node)
		}
		sets[v.News] = m.Set(v.Node)
	}
}

func clone(rs acl.RuleSet) acl.RuleSet {
	copied := func(rules []acl.Rule) []acl.Rule {
		all := make([]acl.Rule, len(rules))
		for i, r := range rules {
			r.Src, r.Dst = slices.Clone(r.Src), slices.Clone(r.Dst)
			r.NotBefore, r.NotAfter = r.NotBefore.UTC(), r.NotAfter.UTC()
			if len(r.Src) == 0 || len(r.Dst) == 0 || !slices.IsSorted(r.Src) || !slices.IsSorted(r.Dst) {
				panic("rule that says nothing, or out of order: " + string(r.ID))
			}
			all[i] = r
		}
		return all
	}
	return acl.RuleSet{In: copied(rs.In), Out: copied(rs.Out), ForbidIn: copied(rs.ForbidIn), ForbidOut: copied(rs.ForbidOut)}
}

// view is a compile.View as plain data.
type view struct {
	self, rules, ended bool
	upserted, removed  []string
}

func changeOf(c compile.Change) map[string]view {
	all := make(map[string]view)
	for v := range c.Views() {
		if _, twice := all[v.Node]; twice {
			panic("two views of " + v.Node)
		}
		all[v.Node] = view{v.Self, v.Rules, v.Ended, slices.Sorted(v.Upserted()), slices.Sorted(v.Removed())}
	}
	return all
}

// difference finds by brute force what nodes see differently.
func difference(before, after map[string]seen) map[string]view {
	all := make(map[string]view)
	for id, is := range after {
		was, known := before[id]
		v := view{self: !known || !reflect.DeepEqual(was.self, is.self), rules: !known || !reflect.DeepEqual(was.rules, is.rules)}
		for peer, record := range is.peers {
			if old, ok := was.peers[peer]; !ok || !reflect.DeepEqual(old, record) {
				v.upserted = append(v.upserted, peer)
			}
		}
		for peer := range was.peers {
			if _, ok := is.peers[peer]; !ok {
				v.removed = append(v.removed, peer)
			}
		}
		slices.Sort(v.upserted)
		slices.Sort(v.removed)
		if v.self || v.rules || v.upserted != nil || v.removed != nil {
			all[id] = v
		}
	}
	return all
}

// TestChangesAreExact plays random changes. After each, the mesh must be as a
// fresh one, and the Change what a comparison of all views finds.
func TestChangesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{drawModel(t), map[string]compile.Node{}}
		w.exotic, w.forbid = drawExotic(t), drawForbids(t)
		m := compile.New(parse(t, w.text()), ranges())
		var last compile.Change
		var told map[string]view
		signIn := false // then seats have facts
		if rapid.Bool().Draw(t, "load") {
			w.nodes = drawNodes(t)
			m.Load(slices.Collect(maps.Values(w.nodes)))
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			before := w.snapshot(m)
			given := w.given(m)
			id := draw(t, "id", idPool())
			var change compile.Change
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 6:
				change = m.RequireSignIn(!signIn)
				signIn = !signIn
			case 0:
				exotic, forbid := w.exotic, w.forbid
				if w.model = editModel(t, w.model); rapid.Bool().Draw(t, "other") {
					exotic, forbid = drawExotic(t), drawForbids(t)
				}
				w.exotic, w.forbid = exotic, forbid
				change = m.SetPolicy(parse(t, w.text()))
			case 1:
				change = m.Remove(id)
				delete(w.nodes, id)
			default:
				w.nodes[id] = drawSeated(t, id)
				change = m.Put(w.nodes[id])
			}
			after := w.snapshot(m)
			got, want := changeOf(change), difference(before, after)
			checkEnded(t, got, want, before, after, id)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("step on %s: change\n%+v, want\n%+v\n%s\n%+v", id, got, want, w.text(), w.nodes)
			}
			checkGiven(t, given, before)
			if is := changeOf(last); told != nil && !reflect.DeepEqual(is, told) {
				t.Fatalf("the step on %s wrote into the change before:\n%+v\n%+v", id, is, told)
			}
			last, told = change, got
			checkShared(t, m, change)
			fresh := compile.New(parse(t, w.text()), ranges())
			fresh.RequireSignIn(signIn)
			fresh.Load(slices.Collect(maps.Values(w.nodes)))
			if want := w.snapshot(fresh); !reflect.DeepEqual(after, want) {
				t.Fatalf("step on %s: mesh\n%+v\nfresh\n%+v\n%s\n%+v", id, after, want, w.text(), w.nodes)
			}
			if got, want := classesOf(m), classesOf(fresh); !maps.Equal(got, want) {
				t.Fatalf("step on %s: classes\n%v\nfresh\n%v", id, got, want)
			}
		}
	})
}

// editModel changes a policy a little, as people do, or altogether.
func editModel(t *rapid.T, m model) model {
	m.rules = slices.Clone(m.rules)
	last := len(m.rules) - 1
	switch edit := rapid.IntRange(0, 4).Draw(t, "edit"); {
	case edit == 0 || last < 0:
		return drawModel(t)
	case edit == 1:
		m.groups = drawModel(t).groups
	case edit == 2:
		m.rules = m.rules[:last]
	case edit == 3:
		m.rules[0], m.rules[last] = m.rules[last], m.rules[0]
	default: // the same rule in other words: another id, and nothing else
		m.rules[last].src = append(slices.Clone(m.rules[last].src), m.rules[last].src...)
	}
	return m
}

func classesOf(m *compile.Mesh) map[netip.Prefix]acl.Class {
	all := make(map[netip.Prefix]acl.Class)
	for pc := range m.Classes() {
		all[pc.Prefix] = pc.Class
	}
	return all
}
