package filter

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// drain lets a flow go on for a while that would lose its right, if what has ended
// is a fact or the time of the rule that permitted it. It denies if nothing lets it.
//
// A rule that is not in the table any more ends its flows at once, and so does one
// that came to be about somebody else, or whose person was signed out, even of a flow
// that drains already. When the right ended is for the table to say, be it that nobody
// noticed; where it does not, as of a proof that is gone, it is now. The end of a flow
// that drains already is only ever brought forward.
func (f *Filter) drain(fl *flow, dec decision) decision {
	if fl.state == revoked || dec.rule == noRule || dec.reason == acl.Forbidden || dec.reason == acl.LimitReached ||
		f.accountOf[dec.ends.payer(fl.origin).holder] != fl.account {
		return refuse(dec.reason)
	}
	known := f.past(fl)
	on, until := f.table.drain(fl, dec, &known, &f.now)
	if f.now.Boot >= until {
		return refuse(dec.reason)
	}
	fl.version, fl.rule, fl.end = f.version, on.rule, until
	if on.end < until {
		fl.version = 0 // something may cut it off before: ask at every packet
	}
	if fl.fast&draining == 0 {
		fl.fast |= draining
		f.drains.put(f.ending(fl, dec, f.now.Boot, until))
	}
	on.end = until
	return on
}

// drain finds the rule by which a flow that lost its right drains longest, and the
// time since boot until which it does. What else may end it is in the decision's end.
func (t *Table) drain(fl *flow, dec decision, known *past, m *Moment) (on decision, until int64) {
	d, from := fl.origin, t.facts(dec.ends.src)
	on = decision{acl.Permitted, noRule, dec.end, dec.ends}
	s, w := &t.sides[d&1], fl.wish(d)
	c := s.candidates(d, &dec.ends, w)
	for n := t.next(&c, s, &dec.ends, w); n != noRule; n = t.next(&c, s, &dec.ends, w) {
		r := &t.rules[n]
		if r.tag != known.tag || r.drain == 0 {
			continue
		}
		if why, _ := known.allows(r, dec.ends.src, m); why != acl.Permitted {
			continue
		}
		if end, hold := t.drains(r, fl, from, known.lease, m); end > until {
			on.rule, on.end, until = n, min(dec.end, hold), end
		}
	}
	return on, until
}

// drains gives the times since boot until which a rule lets a flow drain, 0 if it
// does not, and at which the rule's hold ends.
func (t *Table) drains(r *rule, fl *flow, from facts, lease int64, m *Moment) (until, hold int64) {
	human := r.needs != 0
	if human && t.left(r, from) {
		return 0, 0
	}
	now := m.clock(human)
	held := int64(forever)
	if r.hold > 0 {
		held = later(lease, r.hold)
	}
	if now == never || now >= held {
		return 0, 0
	}
	until = t.drainsUntil(r, fl, from, now, m)
	if fl.fast&draining != 0 {
		until = min(until, fl.end)
	}
	return until, m.boot(held, human)
}

// left tells whether whoever began a flow is there no more: they were signed out or shut
// out, and their right is taken from them, be it at the last moment of their time or while
// something drains after it. Whose time is over is still told of, with that end.
func (t *Table) left(r *rule, from facts) bool {
	return slices.ContainsFunc(t.needs.sets[r.needs], func(f uint32) bool { return t.presence[f] && from.until(f) == never })
}

// drainsUntil counts from the end that the table knows, be it in the past. What it
// does not know is missed since the flow was to be asked about, or from now on.
func (t *Table) drainsUntil(r *rule, fl *flow, from facts, now int64, m *Moment) int64 {
	end := r.notAfter
	for _, f := range t.needs.sets[r.needs] {
		if until := from.until(f); until != never {
			end = min(end, until)
		}
	}
	if now < end {
		return later(min(m.Boot, fl.end), r.drain)
	}
	return m.boot(later(end, r.drain), r.needs != 0)
}
