package compile_test

import (
	"maps"
	"net/netip"
	"reflect"
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

func TestLoginsOfSomeStrengthAndAge(t *testing.T) {
	m := bed(t, `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "when": {"mfa": {"within": "8h", "amr": ["hwk", "otp"], "acr": "phr"}}}]`, wardStart())
	const fact = "mfa:within=8h0m0s:amr=hwk|otp:acr=phr"
	now := wardStart()
	strong := compile.Login{At: now.Add(-time.Hour), Until: now.Add(24 * time.Hour), AMR: []string{"pwd", "otp"}, ACR: "phr"}
	with := func(change func(*compile.Login)) compile.Login {
		l := strong
		change(&l)
		return l
	}
	later := with(func(l *compile.Login) { l.At = now })
	for what, tt := range map[string]struct {
		logins []compile.Login
		want   time.Time // zero: the fact is none
	}{
		"as wanted":            {[]compile.Login{strong}, now.Add(7 * time.Hour)},
		"two, the later first": {[]compile.Login{later, strong}, now.Add(8 * time.Hour)},
		"two, the later last":  {[]compile.Login{strong, later}, now.Add(8 * time.Hour)},
		"weak":                 {[]compile.Login{with(func(l *compile.Login) { l.AMR = []string{"pwd"} })}, time.Time{}},
		"of no class":          {[]compile.Login{with(func(l *compile.Login) { l.ACR = "" })}, time.Time{}},
		"too old":              {[]compile.Login{with(func(l *compile.Login) { l.At = now.Add(-8 * time.Hour) })}, time.Time{}},
		"yet to come":          {[]compile.Login{with(func(l *compile.Login) { l.At = now.Add(1) })}, time.Time{}},
		"without an end":       {[]compile.Login{with(func(l *compile.Login) { l.Until = time.Time{} })}, time.Time{}},
		"ends sooner":          {[]compile.Login{with(func(l *compile.Login) { l.Until = now.Add(time.Hour) })}, now.Add(time.Hour)},
	} {
		if got := factEnds(m, compile.Evidence{Logins: tt.logins}, now)[fact]; !got.Equal(tt.want) {
			t.Errorf("%s: until %s, want %s", what, got, tt.want)
		}
	}
}

func TestApprovalsNeedAllWhoMust(t *testing.T) {
	m := bed(t, `"approvals": {"approve:two": {"by": ["group:nurses"], "count": 2, "maxDuration": "4h"}}, "grants": [{"id": "g", "src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "approval": "approve:two", "when": {"risk": "<70"}}]`, wardStart())
	until := wardStart().Add(time.Hour)
	for people, want := range map[int]bool{0: false, 1: false, 2: true, 3: true} {
		e := compile.Evidence{Approved: map[acl.RuleID]compile.Approved{"g": {People: people, Until: until}}, Risk: 68 + people}
		got := factEnds(m, e, wardStart())
		if _, is := got["approval:g"]; is != want {
			t.Errorf("approved by %d: %v", people, is)
		}
		if _, is := got["risk:<70"]; is != (people < 2) {
			t.Errorf("a risk of %d is below 70: %v", e.Risk, is)
		}
	}
}

// Of a fact that is said twice the later end is told; of one that nobody asks for,
// or that never holds, nothing.
func TestFactsThatAreTold(t *testing.T) {
	n := bedNode(1, "ada@h")
	soon, later := wardStart().Add(time.Hour), wardStart().Add(2*time.Hour)
	n.Facts = []acl.FactEnd{{Fact: "posture:managed", Until: soon}, {Fact: "what", Until: later}, {Fact: "posture:managed", Until: later}, {Fact: "risk:<70"}}
	m := bed(t, `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"], "when": {"risk": "<70"}}]`, wardStart(), n)
	if got := m.Facts("n1"); len(got) != 1 || got[0] != (acl.FactEnd{Fact: "posture:managed", Until: later}) {
		t.Errorf("told of %+v", got)
	}
}

// Ended is for those who must hurry: the node and the peers that held a right by a
// fact that is no more.
func TestWhoIsToldThatAFactEnded(t *testing.T) {
	n := bedNode(1, "ada@h")
	m := bed(t, `"grants": [{"src": ["ada@h"], "dst": ["tag:ehr"], "ip": ["*"], "srcPosture": ["posture:managed"]}, {"src": ["ben@h"], "dst": ["tag:cart"], "ip": ["*"]}]`,
		wardStart(), n, bedNode(2, "tag:ehr"), bedNode(3, "tag:cart"))
	put := func(until time.Time) map[string]view {
		n.Facts = []acl.FactEnd{{Fact: "posture:managed", Until: until}}
		return changeOf(m.Put(n))
	}
	soon, later := wardStart().Add(time.Hour), wardStart().Add(2*time.Hour)
	for _, tt := range []struct {
		what  string
		until time.Time
		ended bool
	}{{"begins", soon, false}, {"is longer", later, false}, {"is shorter", soon, true}, {"is none", time.Time{}, true}} {
		want := map[string]view{"n1": {self: true, ended: tt.ended}, "n2": {upserted: []string{"n1"}, ended: tt.ended}}
		if got := put(tt.until); !reflect.DeepEqual(got, want) {
			t.Errorf("a fact %s: %+v, want %+v", tt.what, got, want)
		}
	}
	put(later)
	n.User, n.Facts = "ben@h", nil // whoever sees it now was never told of a fact
	got := changeOf(m.Put(n))
	if !got["n1"].ended || got["n2"].ended || got["n3"].ended || len(got["n3"].upserted) != 1 || len(got["n2"].removed) != 1 {
		t.Errorf("changes hands: %+v", got)
	}
}
