package planetest

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// What is forbidden is refused whatever permits it, at each end by itself, from when
// it is forbidden.
func forbidBeatsPermit(t *testing.T, p *Pair) {
	r := open("all", service(acl.UDP, 0, 65535), service(acl.TCP, 0, 65535))
	r.Features = []string{acl.FeatureForbid}
	w := newWorld(t, p, r)
	flow := func(check func(string, Node, Node, []byte), when string) {
		check("UDP "+when, p.A, p.B, UDP(A4, B4, 5000, 53))
		check("UDP answer "+when, p.B, p.A, UDP(B4, A4, 53, 5000))
	}
	flow(w.passes, "before")
	ban := []acl.Rule{open("ban", service(acl.UDP, 50, 60))}
	for name, at := range map[string]*[]acl.Rule{"by the sender": &w.a.Rules.ForbidOut, "by the receiver": &w.b.Rules.ForbidIn} {
		*at = ban
		w.apply()
		flow(w.refused, "forbidden "+name)
		w.passes("echo beside what is forbidden "+name, p.A, p.B, Echo(A4, B4, 3, false))
		*at = nil
		w.apply()
		flow(w.passes, "not forbidden "+name+" any more")
	}
	soon := ban[0]
	soon.NotBefore = p.Now().Add(time.Minute)
	w.b.Rules.ForbidIn = []acl.Rule{soon}
	w.apply()
	flow(w.passes, "before it is forbidden")
	p.Pass(61 * time.Second)
	flow(w.refused, "since it is forbidden")
	if v, _ := p.B.Plane.Explain(question(plane.In, A4, B4, acl.UDP, 53)); v != (acl.Verdict{Reason: acl.Forbidden, Rule: "ban"}) {
		t.Errorf("explained as %+v", v)
	}
}

// Where a rule drains, what is open when a login ends goes on for a while, and its
// user is told before and then; nothing new begins.
func draining(t *testing.T, p *Pair) {
	r := open("ward", service(acl.UDP, 53, 53))
	r.Needs, r.Drain = []acl.Fact{"login"}, 2*time.Minute
	w := newWorld(t, p, r)
	end := p.Now().Add(time.Minute)
	facts := []acl.FactEnd{{Fact: "login", Until: end}}
	w.a.Self.Facts, w.b.Peers[0].Facts = facts, facts
	w.apply()
	flow := func(check func(string, Node, Node, []byte), when string) {
		check("what is open "+when, p.A, p.B, UDP(A4, B4, 5000, 53))
		check("its answer "+when, p.B, p.A, UDP(B4, A4, 53, 5000))
	}
	flow(w.passes, "before the end")
	w.ends("before the end", end, end.Add(2*time.Minute))
	p.Pass(62 * time.Second)
	flow(w.passes, "after the end")
	w.refused("another one after the end", p.A, p.B, UDP(A4, B4, 5001, 53))
	w.ends("after the end", time.Time{}, end.Add(2*time.Minute))
	w.a.Self.Facts, w.b.Peers[0].Facts = nil, nil
	w.apply()
	p.Pass(115 * time.Second)
	flow(w.passes, "until it is cut off")
	p.Pass(5 * time.Second)
	flow(w.refused, "after it is cut off")
}

// Who is shut out while something drains is cut off then, at each end that knows of it.
func shutOutWhileDraining(t *testing.T, p *Pair) {
	r := open("ward", service(acl.UDP, 53, 53))
	r.Needs, r.Drain = []acl.Fact{acl.SignedIn}, time.Hour
	for name, shut := range map[string]func(*world){
		"at the sender":   func(w *world) { w.a.Self.Facts = nil },
		"at the receiver": func(w *world) { w.b.Peers[0].Facts = nil },
	} {
		w := newWorld(t, p, r)
		facts := []acl.FactEnd{{Fact: acl.SignedIn, Until: p.Now().Add(time.Minute)}}
		w.a.Self.Facts, w.b.Peers[0].Facts = facts, facts
		w.apply()
		w.passes("what is open", p.A, p.B, UDP(A4, B4, 5000, 53))
		w.passes("its answer", p.B, p.A, UDP(B4, A4, 53, 5000))
		p.Pass(62 * time.Second)
		w.passes("what drains", p.A, p.B, UDP(A4, B4, 5000, 53))
		w.apply()
		w.passes("what drains under another map", p.B, p.A, UDP(B4, A4, 53, 5000))
		shut(w)
		w.apply()
		w.refused("shut out "+name, p.A, p.B, UDP(A4, B4, 5000, 53))
		w.refused("the answer, shut out "+name, p.B, p.A, UDP(B4, A4, 53, 5000))
	}
}

// ends asks that both planes tell of the one flow that ends, to the second: once it
// drains, of where it is cut off.
func (w *world) ends(when string, end, cut time.Time) {
	w.t.Helper()
	for name, n := range map[string]Node{"A": w.A, "B": w.B} {
		all := stats(w.t, n.Plane).Endings
		if len(all) != 1 {
			w.t.Errorf("%s: %s tells of %d flows that end, want one", when, name, len(all))
			continue
		}
		near := func(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }
		if e := all[0]; !near(e.End, end) || !near(e.Cut, cut) || e.Flows != 1 || e.Dst.Port() != 53 || e.Verdict.Reason != acl.FactEnded || e.Verdict.Rule != "ward" {
			w.t.Errorf("%s: %s tells of %+v, want an end at %s and a cut at %s", when, name, e, end, cut)
		}
	}
}

// What a rule only monitors passes and is counted apart.
func monitoring(t *testing.T, p *Pair) {
	see := open("see", service(acl.UDP, 0, 65535))
	see.Monitor = true
	w := newWorld(t, p, see, open("dns", service(acl.UDP, 53, 53)))
	w.passes("what is permitted", p.A, p.B, UDP(A4, B4, 5000, 53))
	if n := count(t, p.A.Plane, acl.Monitored) + count(t, p.B.Plane, acl.Monitored); n != 0 {
		t.Errorf("%d packets were only monitored, want none", n)
	}
	w.passes("what is only monitored", p.A, p.B, UDP(A4, B4, 5000, 54))
	w.passes("its answer", p.B, p.A, UDP(B4, A4, 54, 5000))
	for name, n := range map[string]Node{"A": p.A, "B": p.B} {
		if got := count(t, n.Plane, acl.Monitored); got != 1 {
			t.Errorf("%s counted %d packets that were only monitored, want one", name, got)
		}
	}
}
