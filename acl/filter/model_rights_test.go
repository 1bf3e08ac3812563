package filter_test

import (
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
)

// modelRight is by what a flow passes since it was last asked about.
type modelRight struct {
	rule     acl.RuleID
	end      time.Time // of the right, or of the draining; zero: none
	loads    int       // of the model, when it was asked about
	draining bool
	watched  bool // asked about at every packet
}

// about gives the rules that permit a flow, whether or not they hold.
func (m *model) about(d filter.Direction, k modelKey) (all []*acl.Rule) {
	rules := m.config.Rules.In
	if d == filter.Out {
		rules = m.config.Rules.Out
	}
	for i := range rules {
		if r := &rules[i]; m.between(d, k, r) && len(r.Features) == 0 && m.opens(r, k, port(d, k)) {
			all = append(all, r)
		}
	}
	return all
}

func port(d filter.Direction, k modelKey) uint16 {
	if d == filter.Out {
		return k.peerPort
	}
	return k.ownPort
}

// between tells whether a rule is about the two ends of a flow.
func (m *model) between(d filter.Direction, k modelKey, r *acl.Rule) bool {
	_, dst := m.whose(k.own)
	peer, src := m.whose(k.peer)
	if d == filter.Out {
		src, dst = dst, src
	}
	owner := m.config.Self.Owner
	same := owner != 0 && owner == m.config.Peers[peer].Owner
	return slices.Contains(r.Src, src) && slices.Contains(r.Dst, dst) && (same || !r.SameOwner)
}

// forbids gives the rules that forbid a flow if they hold; what they need beyond
// that is not asked.
func (m *model) forbids(d filter.Direction, k modelKey) (all []*acl.Rule) {
	rules := m.config.Rules.ForbidIn
	if d == filter.Out {
		rules = m.config.Rules.ForbidOut
	}
	for i := range rules {
		named := slices.ContainsFunc(rules[i].Open, func(s acl.Service) bool {
			p := port(d, k)
			return s.Protocol == k.proto && (k.kind != "ports" || s.First <= p && p <= s.Last)
		})
		if named && m.between(d, k, &rules[i]) {
			all = append(all, &rules[i])
		}
	}
	return all
}

func (m *model) forbidden(d filter.Direction, k modelKey) modelVerdict {
	for _, r := range m.forbids(d, k) {
		if m.forbidsNow(r, m.facts(d, k)) {
			return modelVerdict{acl.Forbidden, []acl.RuleID{r.ID}}
		}
	}
	return no(acl.NoRule)
}

func (m *model) forbidsNow(r *acl.Rule, from []acl.FactEnd) bool {
	bare := *r
	bare.Hold = 0
	return m.holds(&bare, from) == acl.Permitted
}

// begins gives when a rule that does not forbid a flow yet does; zero: never.
func (m *model) begins(d filter.Direction, k modelKey) (at time.Time) {
	for _, r := range m.forbids(d, k) {
		bare := *r
		bare.NotBefore, bare.NotAfter = time.Time{}, time.Time{}
		if m.now.Before(r.NotBefore) && m.forbidsNow(&bare, m.facts(d, k)) {
			at = sooner(at, r.NotBefore)
		}
	}
	return at
}

// sooner gives the earlier time; a zero one is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func reached(now, end time.Time) bool { return !end.IsZero() && !now.Before(end) }

// grant notes by what a flow passes.
func (m *model) grant(fl *modelFlow, v modelVerdict) {
	fl.right = modelRight{rule: v.rules[0], loads: m.loads, end: m.begins(fl.origin, fl.key)}
	from := m.facts(fl.origin, fl.key)
	for _, r := range m.about(fl.origin, fl.key) {
		if r.ID == fl.right.rule && m.holds(r, from) == acl.Permitted {
			fl.right.end = sooner(sooner(fl.right.end, r.NotAfter), m.holdEnd(r))
			fl.right.end = sooner(fl.right.end, factsEnd(r, from))
			return
		}
	}
}

func (m *model) holdEnd(r *acl.Rule) time.Time {
	if r.Hold == 0 {
		return time.Time{}
	}
	return m.lease.Add(r.Hold)
}

func factsEnd(r *acl.Rule, from []acl.FactEnd) (end time.Time) {
	for _, f := range from {
		if slices.Contains(r.Needs, f.Fact) {
			end = sooner(end, f.Until)
		}
	}
	return end
}

// again asks whether a flow may go on.
func (m *model) again(fl *modelFlow) modelVerdict {
	if m.config == nil {
		m.revoke(fl)
		return no(acl.NoMap)
	}
	if m.handed(fl) {
		m.revoke(fl)
		return no(acl.NotOurs)
	}
	v := m.ask(fl.origin, fl.key)
	if !v.allow() && fl.guessed && !fl.revoked {
		if other := m.ask(fl.origin^1, fl.key); other.allow() && m.stood(fl.key, fl.origin^1, v) {
			fl.origin ^= 1
			v = other
		}
	}
	r := &fl.right
	stale := fl.revoked || r.watched || r.loads != m.loads || reached(m.now, r.end)
	switch {
	case v.allow() && stale:
		m.grant(fl, v)
	case v.allow():
		v.rules = append(v.rules, r.rule)
	case m.drains(fl, v, stale):
		return modelVerdict{acl.Permitted, []acl.RuleID{r.rule}}
	default:
		m.revoke(fl)
		return v
	}
	if fl.revoked {
		fl.revoked, fl.half, fl.closing = false, true, false
	}
	return v
}

// drains tells whether a flow that lost its right goes on for a while.
func (m *model) drains(fl *modelFlow, v modelVerdict, stale bool) bool {
	r := &fl.right
	if fl.revoked || len(v.rules) == 0 || v.reason == acl.Forbidden {
		return false
	}
	if r.draining && !stale {
		return true
	}
	var until, held time.Time
	for _, rule := range m.about(fl.origin, fl.key) {
		if rule.ID != r.rule || rule.Drain == 0 || reached(m.now, m.holdEnd(rule)) || m.left(fl, rule) {
			continue
		}
		if end := m.missed(fl, rule).Add(rule.Drain); end.After(until) {
			until, held = end, m.holdEnd(rule)
		}
	}
	if r.draining && !until.IsZero() {
		until = sooner(until, r.end)
	}
	if !m.now.Before(until) {
		return false
	}
	before := sooner(held, m.begins(fl.origin, fl.key))
	*r = modelRight{rule: r.rule, loads: m.loads, end: until, draining: true, watched: !before.IsZero() && before.Before(until)}
	return true
}

// left tells whether a rule asks for somebody to be there who is not.
func (m *model) left(fl *modelFlow, r *acl.Rule) bool {
	there := func(f acl.FactEnd) bool { return f.Fact == acl.SignedIn }
	return slices.Contains(r.Needs, acl.SignedIn) && !slices.ContainsFunc(m.facts(fl.origin, fl.key), there)
}

// missed gives since when a rule does not hold that had permitted the flow.
func (m *model) missed(fl *modelFlow, r *acl.Rule) time.Time {
	end := sooner(r.NotAfter, factsEnd(r, m.facts(fl.origin, fl.key)))
	if !reached(m.now, end) {
		return sooner(fl.right.end, m.now)
	}
	return end
}
