package compile_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// TestAgreesWithTheWords compares a compiled hospital's policy with its words,
// read slowly: for every pair of places, at several moments, what Allowed and
// Explain say, and what the rule sets of both ends let pass.
func TestAgreesWithTheWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWard(t)
		w.site = drawSite(t)
		m := w.mesh(t)
		for range 2 {
			w.checkFlows(t, m)
			w.site.now = w.site.now.Add(draw(t, "later", []time.Duration{time.Minute, 20 * time.Minute, 4 * time.Hour, 30 * time.Hour, 100 * time.Hour}))
			m.Advance(w.site.now)
		}
	})
}

// parse reads a ward's policy.
func (w *ward) parse(t *rapid.T) *policy.Policy {
	pol, _, err := w.options().Parse("ward.hujson", []byte(w.text()))
	if err != nil {
		t.Fatalf("%v\n%s", err, w.text())
	}
	return pol
}

// mesh compiles a ward for its site.
func (w *ward) mesh(t *rapid.T) *compile.Mesh {
	m := compile.New(w.parse(t), ranges())
	m.Advance(w.site.now)
	m.Declare(w.site.declared)
	m.RequireSignIn(w.site.signIn)
	var nodes []compile.Node
	for _, id := range sortedKeys(w.site.nodes) {
		nodes = append(nodes, w.weighed(m, id))
	}
	m.Load(nodes)
	return m
}

// weighed gives a node with the facts that are known of it.
func (w *ward) weighed(m *compile.Mesh, id string) compile.Node {
	n, e := w.site.nodes[id], w.site.known[id]
	n.Facts = m.FactsOf(&e, w.site.weighed)
	return n
}

// points gives addresses of every kind that the ward knows.
func (w *ward) points() []wardPlace {
	all := []netip.Addr{netip.MustParseAddr("10.33.7.7"), netip.MustParseAddr("100.64.0.7"), netip.MustParseAddr("8.8.8.8")}
	for _, text := range wardDevices() {
		all = append(all, netip.MustParsePrefix(text).Addr())
	}
	for _, n := range w.site.nodes {
		all = append(all, n.Addrs...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	var places []wardPlace
	for _, a := range slices.Compact(all) {
		places = append(places, w.place(a))
	}
	return places
}

func (w *ward) checkFlows(t *rapid.T, m *compile.Mesh) {
	lookup := tableOf(world{nodes: w.site.nodes}, m)
	probes := []acl.Service{{Protocol: acl.TCP, First: 22}, {Protocol: acl.UDP, First: 85}, {Protocol: acl.ICMP}, {Protocol: 47}}
	places := w.points()
	for _, from := range places {
		src := lookup(from.addr)
		for _, to := range places {
			if from.addr.Is4() != to.addr.Is4() {
				continue
			}
			dst := lookup(to.addr)
			for _, probe := range probes {
				probe = pingOf(probe, to.addr)
				w.checkFlow(t, m, from, to, probe)
				w.checkRules(t, m, from, to, src, dst, probe)
			}
		}
	}
}

// checkFlow asks the mesh. Where it depends on which of several routers carries
// the source, there is no one answer.
func (w *ward) checkFlow(t *rapid.T, m *compile.Mesh, from, to wardPlace, probe acl.Service) {
	holders := from.holders()
	if len(holders) == 0 {
		holders = []string{""}
	}
	want := w.verdict(from, to, holders[0], probe.Protocol, probe.First)
	for _, id := range holders[1:] {
		if w.verdict(from, to, id, probe.Protocol, probe.First) != want {
			return
		}
	}
	if got := m.Allowed(from.addr, to.addr, probe.Protocol, probe.First); got != want.allow && len(holders) == 1 {
		t.Fatalf("Allowed(%s, %s, %v) = %v, want %+v\n%s\n%+v", from.addr, to.addr, probe, got, want, w.text(), w.site)
	}
	if e := m.Explain(from.addr, to.addr, probe.Protocol, probe.First); len(holders) == 1 && (e.Allow != want.allow || string(e.Rule) != want.rule) {
		t.Fatalf("Explain(%s, %s, %v) = %+v, want %+v\n%s\n%+v", from.addr, to.addr, probe, e, want, w.text(), w.site)
	}
}

// checkRules judges a flow as both of its ends would.
func (w *ward) checkRules(t *rapid.T, m *compile.Mesh, from, to wardPlace, src, dst seat, probe acl.Service) {
	if from.claims > 1 || to.claims > 1 || len(src.ids) == 0 || len(dst.ids) == 0 {
		return
	}
	for _, holder := range src.ids {
		want := w.verdict(from, to, holder, probe.Protocol, probe.First)
		as := asking{src, dst, probe, m.Facts(holder), w.site.now}
		if rs := m.Rules(holder); as.verdict(rs.ForbidOut, rs.Out) != want {
			t.Fatalf("Out of %s: %s > %s %v: %+v, want %+v\n%s\n%+v\n%+v", holder, from.addr, to.addr, probe, as.verdict(rs.ForbidOut, rs.Out), want, w.text(), w.site, rs)
		}
		for _, id := range dst.ids {
			if rs := m.Rules(id); as.verdict(rs.ForbidIn, rs.In) != want {
				t.Fatalf("In of %s: %s > %s %v: %+v, want %+v\n%s\n%+v\n%+v", id, from.addr, to.addr, probe, as.verdict(rs.ForbidIn, rs.In), want, w.text(), w.site, rs)
			}
		}
	}
}

// asking is the first packet of a flow as a filter sees it.
type asking struct {
	from, to seat
	probe    acl.Service
	facts    []acl.FactEnd
	now      time.Time
}

func (a *asking) verdict(forbids, rules []acl.Rule) wardVerdict {
	for _, r := range forbids {
		echo := (a.probe.Protocol == acl.ICMP || a.probe.Protocol == acl.ICMPv6) && !slices.ContainsFunc(r.Open, func(s acl.Service) bool { return s.Protocol == a.probe.Protocol })
		if !echo && a.fits(&r) {
			return wardVerdict{rule: string(r.ID)}
		}
	}
	for _, r := range rules {
		if len(forbids) > 0 && !slices.Contains(r.Features, acl.FeatureForbid) {
			return wardVerdict{rule: "asks for no filter that obeys what is forbidden: " + string(r.ID)}
		}
		if a.fits(&r) {
			return wardVerdict{true, r.Monitor, string(r.ID)}
		}
	}
	return wardVerdict{}
}

func (a *asking) fits(r *acl.Rule) bool {
	if a.now.Before(r.NotBefore) || !r.NotAfter.IsZero() && !a.now.Before(r.NotAfter) {
		return false
	}
	lacks := func(f acl.Fact) bool {
		return !slices.ContainsFunc(a.facts, func(e acl.FactEnd) bool { return e.Fact == f && a.now.Before(e.Until) })
	}
	return !slices.ContainsFunc(r.Needs, lacks) && judge([]acl.Rule{*r}, a.from, a.to, a.probe)
}
