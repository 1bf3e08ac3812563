package policy

import (
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// supposed reads what a test supposes and expects. A test with a name or with
// "given" supposes something, be it only that the person does without everything.
func (r *ruleReader) supposed(t *Test, v *value, fields object) {
	name, named := r.word(fields, "name")
	t.Name = name.text
	inner, given := r.within(fields, "given", givenKeys)
	if named || given {
		t.Given = r.given(inner)
	}
	t.Attributes = r.values(fields, "srcPostureAttrs")
	t.Expect = r.expectation(fields)
	if t.Expect != nil && isEmptyList(fields.member("accept")) {
		r.fail(fields.member("expect").at, "expect", complain("is about the rule that accepts, and nothing is to be accepted", `add "accept": ["host:port"]`))
	}
}

// ParseGiven reads what a test's "given" may hold, to try it on the policy whose
// names it uses. An error is of type [Errors]; name is what it calls the text.
func (p *Policy) ParseGiven(name string, src []byte) (*Given, error) {
	r := newReader(name, src)
	var g *Given
	if root, ok := r.unique(); ok {
		rules := &ruleReader{reader: r, names: p.names}
		g = rules.given(r.keyed(&root, "given", givenKeys))
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return g, nil
}

func (r *ruleReader) given(fields object) *Given {
	g := &Given{
		At: r.moment(fields), Session: r.token(fields, "session"), Idle: r.period(fields, "idle"), ACR: r.token(fields, "acr"), AMR: r.methods(fields),
		Device:   lookup(r.reader, fields, "device", "tagOwners", r.names.tags),
		Postures: lookups(r.reader, fields, "postures", "postures", r.names.postures),
		OnCall:   lookups(r.reader, fields, "oncall", "oncall", r.names.oncall), Attributes: r.values(fields, "attrs"),
		BreakGlass: lookups(r.reader, fields, "breakGlass", "breakGlass", r.names.glasses),
		Lockdown:   lookups(r.reader, fields, "lockdown", "lockdown", r.names.lockdowns),
	}
	g.Risk, _ = r.integer(fields, "risk", 0, 100)
	g.ApprovedBy, _ = r.integer(fields, "approvedBy", 0, mostPeople)
	if it, ok := r.word(fields, "mfaAge"); ok {
		age, isAge := anyDuration(it.text)
		if !isAge || age > longest {
			r.failAt(it.at, "mfaAge", it.text, complain("is no duration", "write 0s, 5m or 13h"))
		}
		g.MFAAge, g.LoggedIn = age, true
	}
	const managed = "posture:managed"
	if r.flag(fields, "managed") {
		if bad := mustKnow(managed, "postures", r.names.postures); bad != nil {
			r.failAt(fields.member("managed").at, "managed", managed, bad)
		}
		g.Postures = append(g.Postures, managed)
	}
	return g
}

// moment reads a test's time. Its seconds may be left out.
func (r *reader) moment(fields object) time.Time {
	it, ok := r.word(fields, "at")
	if !ok {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if at, err := time.Parse(layout, it.text); err == nil {
			return at
		}
	}
	r.failAt(it.at, "at", it.text, complain("is no moment with a time zone", "write 2026-11-22T03:00-06:00"))
	return time.Time{}
}

// expectation reads {"log", "alert", "maxDuration", "rule"}.
func (r *ruleReader) expectation(fields object) *Expect {
	inner, ok := r.within(fields, "expect", expectKeys)
	if !ok {
		return nil
	}
	e := &Expect{Pos: r.pos(fields.member("expect").at), MaxDuration: r.period(inner, "maxDuration"), Log: r.choice(inner, "log", "off", "drops", "flows", "detail", "record")}
	if it, ok := r.word(inner, "alert"); ok {
		s, bad := r.names.selector(it.text)
		if e.Alert = s.Name; bad != nil {
			r.failAt(it.at, "alert", it.text, bad)
		} else if !s.isWho() {
			r.failAt(it.at, "alert", it.text, complain("cannot be told anything", "name users, groups or tags"))
		}
	}
	if it, ok := r.word(inner, "rule"); ok {
		e.Rule = acl.RuleID(it.text)
		known := r.ruleNames()
		if !strings.HasPrefix(it.text, "sha256:") && !known[it.text] {
			r.failAt(it.at, "rule", it.text, complainOf("no rule has this id", it.text, known, "name a rule by its id"))
		}
	}
	return e
}

// ruleNames gives the ids that rules have in writing, once all are read.
func (r *ruleReader) ruleNames() map[string]bool {
	if r.written == nil {
		r.written = make(map[string]bool, len(r.ids))
		for id := range r.ids {
			r.written[string(id)] = true
		}
		for name := range r.names.segments {
			r.written[name] = true
		}
	}
	return r.written
}
