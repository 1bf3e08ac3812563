package compile

import (
	"cmp"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Evidence is what is known of a node and of whoever sits at it (the inputs of
// the trust algorithm of NIST SP 800-207 section 3.3), each with its end. A
// policy makes facts of it: see [Mesh.FactsOf]. An end at the zero time has
// passed.
type Evidence struct {
	// Person is who sits at a shared device: User, UserName, Roles and Groups count.
	// It is the zero Node where nobody does, and without effect at a node that is
	// somebody's own.
	Person   Node
	Presence *Presence
	SignedIn time.Time // until when whoever owns the device, or sits at it, is signed in there

	Logins     []Login
	Attributes map[string]Attribute // of the device, by name ("custom:mdm")
	Postures   map[string]time.Time // that somebody vouches for whatever the attributes
	Risk       int                  // of the device, 0 to 100; without a signal 0
	OnDuty     map[string]time.Time // by roster
	Approved   map[acl.RuleID]Approved
	Glass      map[string]time.Time // ids of break-glasses that the person opened
}

// Presence is a person's session at a device.
type Presence struct {
	Kind  string        // how it began ("tap")
	Idle  time.Duration // since the last input, at the moment of asking
	Pause time.Duration // the longest without input before that, since it began: an idleness that was is not undone
	Until time.Time
}

// Login is one login of a person.
type Login struct {
	At, Until time.Time
	AMR       []string
	ACR       string
}

// Attribute is a value that a source stands for until a moment.
type Attribute struct {
	Value any // string, float64 or bool
	Until time.Time
}

// Approved is what people agreed to.
type Approved struct {
	People int // different ones, each of whom may
	Until  time.Time
}

// Forever is the end of what does not end.
func Forever() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// FactsOf gives the facts that evidence makes at a moment, of those that the
// policy asks for, sorted: a Node's Facts.
func (m *Mesh) FactsOf(e *Evidence, now time.Time) []acl.FactEnd {
	w := weighing{m: m, e: e, now: now}
	for fact, n := range m.book.needs {
		w.weigh(fact, n)
	}
	slices.SortFunc(w.facts, func(a, b acl.FactEnd) int { return cmp.Compare(a.Fact, b.Fact) })
	return w.facts
}

// weighing turns evidence into facts.
type weighing struct {
	m     *Mesh
	e     *Evidence
	now   time.Time
	facts []acl.FactEnd
}

func (w *weighing) add(f acl.Fact, until time.Time) {
	if w.now.Before(until) {
		w.facts = append(w.facts, acl.FactEnd{Fact: f, Until: until})
	}
}

func (w *weighing) weigh(fact acl.Fact, n need) {
	switch {
	case n.signedIn:
		w.add(fact, w.e.SignedIn)
	case n.mfa != nil:
		w.add(fact, w.login(n.mfa))
	case n.session != nil:
		w.add(fact, w.session(n.session))
	case n.onCall != "":
		w.add(fact, w.e.OnDuty[n.onCall])
	case n.risk != nil && w.e.Risk < *n.risk:
		w.add(fact, Forever())
	case n.posture != "":
		w.add(fact, w.posture(n.posture))
	case n.approval != nil:
		w.add(fact, w.approval(n.approval))
	case n.glass != "":
		w.add(fact, w.e.Glass[n.glass])
	case n.person != nil:
		w.add(fact, w.person(n.person))
	}
}

// login gives until when there was a login as wanted: until the last of them is too
// old.
func (w *weighing) login(wanted *policy.MFA) (until time.Time) {
	for _, l := range w.e.Logins {
		if !wanted.Met(l.AMR, l.ACR) || l.Until.IsZero() || l.At.After(w.now) {
			continue
		}
		end := l.Until
		if wanted.Within > 0 {
			end = earlier(end, l.At.Add(wanted.Within))
		}
		until = later(until, end)
	}
	return until
}

func (w *weighing) session(wanted *policy.Session) (until time.Time) {
	p := w.e.Presence
	if p == nil || p.Until.IsZero() || wanted.Kind != "" && wanted.Kind != p.Kind {
		return until
	}
	if wanted.Idle > 0 && p.Pause > wanted.Idle {
		return until
	}
	if wanted.Idle > 0 {
		return earlier(p.Until, w.now.Add(wanted.Idle-p.Idle))
	}
	return p.Until
}

// posture gives until when a device has a posture: as long as somebody vouches for
// it, or as long as all of its conditions hold by what they are judged by.
func (w *weighing) posture(name string) (until time.Time) {
	p, ok := w.m.pol.Posture(name)
	if !ok {
		return until
	}
	until = Forever()
	for _, c := range p.Conditions {
		a, known := w.e.Attributes[c.Attribute]
		known = known && w.now.Before(a.Until)
		if !c.Met(a.Value, known) {
			return w.e.Postures[name]
		}
		if known {
			until = earlier(until, a.Until)
		}
	}
	return later(until, w.e.Postures[name])
}

func (w *weighing) approval(r *policy.Rule) (until time.Time) {
	wanted, _ := w.m.pol.Approval(r.Approval)
	if a := w.e.Approved[r.ID]; a.People >= max(1, wanted.Count) {
		return a.Until
	}
	return until
}

// person gives until when somebody sits at a shared device for whom a part is.
func (w *weighing) person(p *part) (until time.Time) {
	sitting := w.e.Person
	if sitting.User == "" || w.e.Presence == nil {
		return until
	}
	sitting.Tags = nil
	if slices.ContainsFunc(p.people, func(s policy.Selector) bool { return w.m.picker(s)(&sitting) }) {
		return w.e.Presence.Until
	}
	return until
}
