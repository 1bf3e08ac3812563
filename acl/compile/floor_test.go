package compile_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
)

// TestFloorsHoldWhateverIsWritten draws rules that ask for less than the segments into
// which they lead, or for something else, or for nothing, under whatever name they lead
// there. A check refuses or warns of those of which it is sure; here it refuses none, as
// of a policy that is in force. No person may come in who does not meet the floor of each
// segment that the destination is in, by what both ends of the flow enforce.
func TestFloorsHoldWhateverIsWritten(t *testing.T) {
	var in, kept int
	rapid.Check(t, func(t *rapid.T) {
		w := drawLowWard(t)
		m := w.mesh(t)
		for range 2 {
			for flow := range w.flows(m) {
				low := w.falls(flow)
				switch {
				case flow.allow && low != "":
					t.Fatalf("%s > %s at %s, by rule %s, and %s asks for more\n%s\n%+v", flow.from.addr, flow.to.addr, flow.holder, flow.rule, low, w.text(), w.site)
				case flow.allow && len(w.segmentsOf(flow.to)) > 0:
					in++
				case !flow.allow && w.flat().verdict(flow.from, flow.to, flow.holder, acl.TCP, 22).allow:
					kept++
				}
			}
			w.site.now = w.site.now.Add(45 * time.Minute)
			m.Advance(w.site.now)
		}
	})
	if in < 50 || kept < 50 {
		t.Errorf("%d flows came into segments and %d were kept out by floors alone: too few to tell", in, kept)
	}
}

// lowFlow is what one end of a flow says of it.
type lowFlow struct {
	from, to wardPlace
	holder   string
	wardVerdict
}

// flows yields what both ends say of every flow to somebody.
func (w *ward) flows(m *compile.Mesh) func(func(lowFlow) bool) {
	return func(yield func(lowFlow) bool) {
		lookup, places := tableOf(world{nodes: w.site.nodes}, m), w.points()
		for _, from := range places {
			for _, to := range places {
				src, dst := lookup(from.addr), lookup(to.addr)
				if from.addr.Is4() != to.addr.Is4() || from.claims > 1 || to.claims > 1 || len(src.ids) != 1 || len(dst.ids) == 0 {
					continue
				}
				holder := src.ids[0]
				as := asking{src, dst, acl.Service{Protocol: acl.TCP, First: 22}, m.Facts(holder), w.site.now}
				ends := []wardVerdict{as.verdict(nil, m.Rules(holder).Out)}
				for _, id := range dst.ids {
					ends = append(ends, as.verdict(nil, m.Rules(id).In))
				}
				for _, v := range ends {
					if !yield(lowFlow{from, to, holder, v}) {
						return
					}
				}
			}
		}
	}
}

// drawLowWard draws a ward without ways around a floor. Its rules are for people, wide, and
// ask for less than floors do, and people have no more than such rules ask for, or
// sometimes what floors ask for.
func drawLowWard(t *rapid.T) *ward {
	w := &ward{groups: map[string][]string{"group:x": loginPool(), "group:y": nil}, forgiven: true}
	kind := draw(t, "kind", []string{"", "mfa", "posture", "schedule", "risk", "idle"})
	for _, name := range []string{"seg:p", "seg:q"} {
		s := wardSegment{name: name, members: some(t, name, append(tagPool(), wardNets()...), 1, 3)}
		s.requires = drawWhen(t, 8*time.Hour, [][]string{nil, {"hwk"}}, []int{70}, 10*time.Minute)
		if kind != "" {
			s.requires = floorAndLess(kind)[0]
		}
		w.segments = append(w.segments, s)
	}
	for _, id := range []string{"g0", "g1"} {
		r := wardRule{
			id: id, src: []string{draw(t, "src", []string{"group:x", "autogroup:member"})}, ports: []string{"*"},
			dst: some(t, "dst", append(tagPool(), "*", "seg:p", "autogroup:tagged", "10.33.0.0/16", "100.64.0.0/29", "fd7a::2"), 1, 3),
		}
		if oneIn(t, 2, "devices") {
			r.devices = tagPool()
		}
		r.when = drawWhen(t, 300*time.Hour, [][]string{nil, {"pwd"}, {"hwk", "pwd"}}, []int{90, 100}, 2*time.Hour)
		if kind != "" {
			r.when = floorAndLess(kind)[1]
		}
		if oneIn(t, 4, "monitored") {
			r.monitor = wardStart().Add(time.Hour)
		}
		w.grants = append(w.grants, r)
	}
	w.site = drawSite(t)
	w.site.declared = compile.Declared{}
	if oneIn(t, 2, "saturday") {
		w.site.weighed, w.site.now = wardStart().Add(5*24*time.Hour), wardStart().Add(5*24*time.Hour)
	}
	for id, e := range w.site.known {
		stale, forever := wardStart().Add(-9*time.Hour), wardStart().Add(500*time.Hour)
		e.Logins = append(e.Logins, compile.Login{At: stale, Until: forever, AMR: []string{"pwd"}})
		e.Risk, e.SignedIn = draw(t, "risk", []int{40, 80}), forever
		e.Person.User = "ada@h"
		e.Presence = &compile.Presence{Kind: draw(t, "kind", []string{"tap", "pin"}), Idle: draw(t, "idle", []time.Duration{0, 30 * time.Minute}), Until: forever}
		w.site.known[id] = e
	}
	return w
}

// floorAndLess gives a floor and what a rule asks for of the same kind, which is less or
// something else.
func floorAndLess(kind string) [2]wardWhen {
	return map[string][2]wardWhen{
		"mfa":      {{within: 8 * time.Hour, amr: []string{"hwk"}}, {within: 300 * time.Hour, amr: []string{"pwd"}}},
		"posture":  {{posture: []string{"posture:managed"}}, {posture: []string{"posture:bare"}}},
		"schedule": {{schedule: "office"}, {schedule: "weekend"}},
		"risk":     {{risk: 70}, {risk: 90}},
		"idle":     {{idle: 10 * time.Minute}, {idle: 2 * time.Hour}},
	}[kind]
}

// falls gives a segment whose floor is not met by a person to whom a rule opens it.
func (w *ward) falls(flow lowFlow) string {
	human := flow.from.person() != ""
	for _, r := range w.grants {
		human = human || r.id == flow.rule && len(r.devices) > 0
	}
	for _, s := range w.segmentsOf(flow.to) {
		if human && !w.met(&s.requires, flow.holder, true, nil) {
			return s.name
		}
	}
	return ""
}

// flat is the ward without floors.
func (w *ward) flat() *ward {
	flat := *w
	flat.segments = nil
	for _, s := range w.segments {
		s.requires = wardWhen{}
		flat.segments = append(flat.segments, s)
	}
	return &flat
}

// options are those by which a ward's policy is read.
func (w *ward) options() policy.Options {
	return policy.Options{Now: wardStart(), InForce: w.forgiven}
}
