package compile_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
)

// factEnds gives the facts that evidence makes, by their names.
func factEnds(m *compile.Mesh, e compile.Evidence, now time.Time) map[acl.Fact]time.Time {
	all := map[acl.Fact]time.Time{}
	for _, f := range m.FactsOf(&e, now) {
		all[f.Fact] = f.Until
	}
	return all
}

// pastEvidence draws evidence of which nothing begins later.
func pastEvidence(t *rapid.T) compile.Evidence {
	e := drawEvidence(t, wardStart())
	e.Logins = slices.DeleteFunc(e.Logins, func(l compile.Login) bool { return l.At.After(wardStart()) })
	return e
}

// A fact holds until just before its end, and not then. What somebody waits for
// counts as time goes by: the idle time grows.
func TestFactsEndWhenTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWard(t)
		w.site = &wardSite{}
		m, e, now := w.mesh(t), pastEvidence(t), wardStart()
		later := func(at time.Time) map[acl.Fact]time.Time {
			aged := e
			if e.Presence != nil {
				p := *e.Presence
				p.Idle += at.Sub(now)
				aged.Presence = &p
			}
			return factEnds(m, aged, at)
		}
		for fact, until := range factEnds(m, e, now) {
			if !now.Before(until) {
				t.Fatalf("%s has ended already: %s", fact, until)
			}
			if until.Equal(compile.Forever()) || fact == "posture:bare" { // which begins when an attribute ends
				continue
			}
			if got := later(until.Add(-1))[fact]; !got.Equal(until) {
				t.Fatalf("%s until %s: just before, it is until %s", fact, until, got)
			}
			if got, still := later(until)[fact]; still {
				t.Fatalf("%s until %s: it holds then, until %s", fact, until, got)
			}
		}
	})
}

// Whatever is known besides takes no fact away and shortens none, but for an
// attribute, by which a posture may ask that it is not known.
func TestMoreEvidenceTakesNoFactAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWard(t)
		w.site = &wardSite{}
		m, less, other := w.mesh(t), drawEvidence(t, wardStart()), drawEvidence(t, wardStart())
		more := less
		more.Logins = slices.Concat(other.Logins, less.Logins)
		more.Postures, more.OnDuty, more.Glass = addEnds(less.Postures, other.Postures), addEnds(less.OnDuty, other.OnDuty), addEnds(less.Glass, other.Glass)
		more.Risk = min(less.Risk, other.Risk)
		more.Approved = maps.Clone(less.Approved)
		for id, a := range other.Approved {
			if had, ok := less.Approved[id]; !ok || a.People >= had.People && !a.Until.Before(had.Until) {
				more.Approved[id] = a
			}
		}
		if less.Presence == nil {
			more.Presence, more.Person = other.Presence, other.Person
		}
		after := factEnds(m, more, wardStart())
		for fact, until := range factEnds(m, less, wardStart()) {
			if after[fact].Before(until) {
				t.Fatalf("%s until %s: with more evidence until %s\n%+v\n%+v", fact, until, after[fact], less, more)
			}
		}
	})
}

// addEnds joins what ends, of one thing the later end.
func addEnds(a, b map[string]time.Time) map[string]time.Time {
	all := maps.Clone(a)
	for name, until := range b {
		if until.After(all[name]) {
			all[name] = until
		}
	}
	return all
}

// TestPosturesOfAttributes judges one condition by one attribute, known, unknown and
// no longer known.
func TestPosturesOfAttributes(t *testing.T) {
	unknown := any(nil)
	for condition, want := range map[string]map[any]bool{
		"node:v >= '13.4'":     {"13.4": true, "13.10": true, "14": true, "13.3.9": false, "9": false, "": false, 14.0: false, true: false, unknown: false},
		"node:v < '1.10'":      {"1.9": true, "1.9.9": true, "1.10": false, "1.10.1": false, "01.9": true, unknown: false},
		"node:v > 2":           {3.0: true, 2.0: false, "3": false, true: false, unknown: false},
		"node:v <= 2":          {2.0: true, 2.5: false, "1": false, unknown: false},
		"node:v == true":       {true: true, false: false, "true": false, unknown: false},
		"node:v != 'xp'":       {"xp": false, "linux": true, 1.0: true, unknown: false},
		"node:v IN ['a', 1]":   {"a": true, 1.0: true, "b": false, unknown: false},
		"node:v NOT IN ['a']":  {"a": false, "b": true, unknown: false},
		"node:v IS SET":        {"": true, false: true, unknown: false},
		"node:v NOT SET":       {"": false, false: false, unknown: true},
		"node:other != 'what'": {"a": false, unknown: false},
	} {
		text := `{"tagOwners": {"tag:a": []}, "postures": {"posture:p": ["` + condition + `"]}, "grants": [{"src": ["tag:a"], "dst": ["tag:a"], "ip": ["*"], "srcPosture": ["posture:p"]}]}`
		m := compile.New(parse(t, text), ranges())
		for value, want := range want {
			known := value != unknown
			for until, counts := range map[time.Time]bool{wardStart().Add(time.Hour): true, wardStart(): false, {}: false} {
				e := compile.Evidence{Attributes: map[string]compile.Attribute{"node:v": {Value: value, Until: until}}}
				end := until
				if !known {
					e.Attributes = nil
				}
				if !known || !counts { // it is not known, or no longer
					end = compile.Forever()
				}
				want := want && counts || condition == "node:v NOT SET" && !counts || !known && want
				got, holds := factEnds(m, e, wardStart())["posture:p"]
				if holds != want || holds && !got.Equal(end) {
					t.Errorf("%s of %v until %s holds: %v until %s", condition, value, until, holds, got)
				}
			}
		}
	}
}

// What is known of whoever sits at a device does not make them somebody else.
func TestWhoSitsAtADevice(t *testing.T) {
	m := bed(t, `"grants": [{"src": ["group:nurses"], "srcDevice": ["tag:cart"], "dst": ["tag:ehr"], "ip": ["*"]}],
"forbid": [{"src": ["group:nurses", "*", "tag:cart", "10.0.0.0/8"], "dst": ["tag:gw"], "when": {"posture": ["posture:managed"]}}]`, wardStart())
	until := wardStart().Add(time.Hour)
	here := &compile.Presence{Until: until}
	ada := compile.Node{User: "ada@h"}
	tagged, ben := ada, bedNode(5, "ben@h")
	tagged.Tags = []string{"tag:gw"}
	ben.Tags, ben.Addrs = []string{"tag:cart"}, append(ben.Addrs, netip.MustParseAddr("10.0.0.1"))
	for what, tt := range map[string]struct {
		e    compile.Evidence
		want bool
	}{
		"a nurse": {compile.Evidence{Person: ada, Presence: here}, true}, "a nurse on a tagged record": {compile.Evidence{Person: tagged, Presence: here}, true},
		"a nurse who has left": {compile.Evidence{Person: ada}, false}, "a nurse whose session has ended": {compile.Evidence{Person: ada, Presence: &compile.Presence{Until: wardStart()}}, false},
		"a session without an end": {compile.Evidence{Person: ada, Presence: &compile.Presence{}}, false},
		"nobody":                   {compile.Evidence{Presence: here}, false}, "another": {compile.Evidence{Person: ben, Presence: here}, false},
	} {
		got, is := factEnds(m, tt.e, wardStart())["person:group:nurses"]
		if is != tt.want || is && !got.Equal(until) {
			t.Errorf("%s is a nurse: %v until %s", what, is, got)
		}
	}
}
