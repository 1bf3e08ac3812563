package policy

import (
	"fmt"
	"strings"
)

// most is how many people one thing may ask for together.
const mostPeople = 20

// approvals reads {"approve:NAME": {"by", "count", "notRequester", "maxDuration",
// "ticket", "onExpiry"}}.
func (r *ruleReader) approvals(section member) map[string]Approval {
	all := make(map[string]Approval)
	for _, m := range r.named(section, "approvals") {
		sound := r.sound(m, checkName(m.key, "approve:"))
		fields := r.keyed(m.value, "an approval", approvalKeys)
		a := Approval{Name: m.key, Pos: r.pos(m.at), NotRequester: r.flag(fields, "notRequester"), MaxDuration: r.period(fields, "maxDuration")}
		r.said(fields, "ticket")
		r.notNull(fields, "notRequester")
		r.filled(fields, "maxDuration", `write such as "4h"`)
		a.By, a.Count = r.quorum(m.at, m.key, fields)
		a.OnExpiry, a.OnExpirySet = r.onExpiry(fields)
		if _, written := fields.get("maxDuration"); !written {
			r.fail(m.at, m.key, complain("has no maxDuration: what is approved once would be open for ever", `add "maxDuration": "4h"`))
		}
		if it, ok := r.word(fields, "ticket"); ok {
			var bad *complaint
			if a.Ticket, bad = r.pattern(it.text); bad != nil {
				r.failAt(it.at, "ticket", it.text, bad)
			}
		}
		if sound {
			all[m.key] = a
		}
	}
	return all
}

// quorum reads "by", who may agree or declare, and "count", how many of them must.
func (r *ruleReader) quorum(at int, name string, fields object) (by []Selector, count int) {
	r.said(fields, "count")
	items := r.oneOrMore(fields, "by")
	if len(items) == 0 {
		r.fail(at, name, complain("names nobody", `add "by": ["group:..."]`))
	}
	for _, it := range items {
		s, bad := r.names.selector(it.text)
		if bad == nil && (!s.isWho() || s.Kind == Tag || s.Kind == Tagged) {
			bad = complain("is nobody who could agree", "name users, groups or roles")
		}
		if bad != nil {
			r.failAt(it.at, "by", it.text, bad)
			continue
		}
		by = append(by, s)
	}
	count = 1
	if _, written := fields.get("count"); written {
		count, _ = r.integer(fields, "count", 1, mostPeople)
	}
	if people, known := r.names.headcount(by); known && len(by) > 0 && people < count {
		r.warn(at, name, fmt.Sprintf("can never come: %d must agree, and those who may are %d; name more, or ask for fewer", count, people))
	}
	return by, count
}

// headcount gives how many people some names stand for; known is false where that is
// not in the file.
func (n *names) headcount(all []Selector) (people int, known bool) {
	logins := make(map[string]bool)
	for _, s := range all {
		switch s.Kind {
		case User:
			logins[s.Name] = true
		case Group:
			for _, login := range n.groups[s.Name] {
				if strings.Contains(login, ":") {
					return 0, false // of a provider
				}
				logins[login] = true
			}
		default:
			return 0, false
		}
	}
	return len(logins), true
}

// told reads who is told of something: people, or tags of machines that listen.
func (r *ruleReader) told(fields object, key string) []Selector {
	var all []Selector
	for _, it := range r.oneOrMore(fields, key) {
		s, bad := r.names.selector(it.text)
		if bad == nil && !s.isWho() {
			bad = complain("cannot be told anything", "name users, groups or tags")
		}
		if bad != nil {
			r.failAt(it.at, key, it.text, bad)
			continue
		}
		all = append(all, s)
	}
	return all
}

// waived reads which conditions need not hold.
func (r *ruleReader) waived(fields object) []string {
	known := make(map[string]bool)
	for _, kind := range strings.Fields("mfa posture schedule session oncall risk approval") {
		known[kind] = true
	}
	var all []string
	for _, it := range r.oneOrMore(fields, "waives") {
		if !known[it.text] {
			r.failAt(it.at, "waives", it.text, complainOf("is no condition that can be waived", it.text, known, "use mfa, posture, schedule, session, oncall, risk or approval"))
			continue
		}
		all = append(all, it.text)
	}
	return all
}
