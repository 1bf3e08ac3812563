package compile

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// Evidence is what is known of a node and of whoever sits at it (the inputs of
// the trust algorithm of NIST SP 800-207 section 3.3), each with its end. A
// policy makes facts of it: see [Mesh.FactsOf]. An end at the zero time has
// passed.
type Evidence struct {
	// Person is who sits at a shared device: User, UserName, Role and Groups count.
	// It is the zero Node where nobody does, and without effect at a node that is
	// somebody's own.
	Person   Node
	Presence *Presence

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
	for i := range m.pol.Rules() {
		w.rule(&m.pol.Rules()[i])
	}
	for r := range m.pol.Forbids() {
		w.rule(r)
	}
	for _, s := range m.book.segments {
		w.when(&s.Requires)
	}
	for _, part := range m.book.parts {
		w.person(part)
	}
	return m.book.wanted(w.facts)
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

func (w *weighing) rule(r *policy.Rule) {
	w.when(&r.When)
	for _, posture := range r.Postures {
		w.posture(posture)
	}
	if approval, ok := w.m.pol.Approval(r.Approval); ok {
		if a := w.e.Approved[r.ID]; a.People >= approval.Count {
			w.add(policy.ApprovalFact(r.ID), a.Until)
		}
	}
	if r.Glass != "" {
		w.add(policy.GlassFact(r.Glass), w.e.Glass[r.Glass])
	}
}

func (w *weighing) when(when *policy.When) {
	if when.MFA != nil {
		w.login(when.MFA)
	}
	if when.Session != nil {
		w.session(when.Session)
	}
	if when.OnCall != "" {
		w.add(policy.OnCallFact(when.OnCall), w.e.OnDuty[when.OnCall])
	}
	if when.Risk != nil && w.e.Risk < *when.Risk {
		w.add(policy.RiskFact(*when.Risk), Forever())
	}
	for _, posture := range when.Postures {
		w.posture(posture)
	}
}

// login adds that there was a login as wanted, until the last of them is too old.
func (w *weighing) login(wanted *policy.MFA) {
	var until time.Time
	for _, l := range w.e.Logins {
		end := l.Until
		if wanted.Within > 0 {
			end = earlier(end, l.At.Add(wanted.Within))
		}
		if wanted.Met(l.AMR, l.ACR) && !l.Until.IsZero() && !l.At.After(w.now) {
			until = later(until, end)
		}
	}
	w.add(wanted.Fact(), until)
}

func (w *weighing) session(wanted *policy.Session) {
	p := w.e.Presence
	if p == nil || wanted.Kind != "" && wanted.Kind != p.Kind {
		return
	}
	until := p.Until
	if wanted.Idle > 0 {
		until = earlier(until, w.now.Add(wanted.Idle-p.Idle))
	}
	w.add(wanted.Fact(), until)
}

// posture adds that a device has a posture: since somebody vouches for it, or
// since all of its conditions hold, as long as what they are judged by does.
func (w *weighing) posture(name string) {
	w.add(acl.Fact(name), w.e.Postures[name])
	p, ok := w.m.pol.Posture(name)
	if !ok {
		return
	}
	until := Forever()
	for _, c := range p.Conditions {
		a, known := w.e.Attributes[c.Attribute]
		known = known && w.now.Before(a.Until)
		if !c.Met(a.Value, known) {
			return
		}
		if known {
			until = earlier(until, a.Until)
		}
	}
	w.add(acl.Fact(name), until)
}

// person adds that whoever sits at a shared device is one for whom a part is.
func (w *weighing) person(p *part) {
	if p.person == "" || w.e.Person.User == "" || w.e.Presence == nil {
		return
	}
	sitting := w.e.Person
	sitting.Tags = nil
	for _, s := range p.rule.Src {
		if w.m.picker(s)(&sitting) {
			w.add(p.person, w.e.Presence.Until)
			return
		}
	}
}
