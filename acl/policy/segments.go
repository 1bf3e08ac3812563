package policy

import (
	"net/netip"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// segments reads {"seg:NAME": {"members", "class", "impact", "owner", "requires",
// "offline", "log", "mode", "until", "inTransit"}}.
func (r *ruleReader) segments(section member) map[string]Segment {
	all := make(map[string]Segment)
	for _, m := range r.named(section, "segments") {
		sound := r.sound(m, checkName(m.key, "seg:"))
		if s := r.segment(m); sound {
			all[m.key] = s
		}
	}
	return all
}

func (r *ruleReader) segment(m member) Segment {
	fields := r.keyed(m.value, "a segment", segmentKeys)
	if fields == nil && !m.value.isNull() { // it is no object, which is told
		return Segment{Name: m.key, Pos: r.pos(m.at)}
	}
	s := Segment{
		Name: m.key, Pos: r.pos(m.at), Members: r.segmentMembers(m, fields), Owner: r.segmentOwner(m, fields),
		Class: r.token(fields, "class"), Impact: r.choice(fields, "impact", "life", "clinical", "business", "none"),
		Requires: r.when(fields, "requires"),
	}
	r.said(fields, "impact")
	s.Offline, s.Lapses = r.offline(fields)
	s.Log, s.LogSet = r.logLevel(fields)
	if s.Impact == "life" && !s.Log.Flows() {
		r.fail(fields.member("log").at, "log", judge("is too little where lives hang on it", `write "flows", "detail" or "record"`))
	}
	mode := r.choice(fields, "mode", "enforce", "monitor")
	s.Monitor = r.monitored(mode == "monitor", "mode", fields)
	if it, ok := r.word(fields, "inTransit"); ok {
		r.warn(it.at, it.text, "has no effect here: everything is encrypted in transit")
	}
	return s
}

// segmentMembers reads what belongs to a segment, all of it in this file: not
// people, who come and go, and no other segment, which has an owner of its own.
func (r *ruleReader) segmentMembers(m member, fields object) []Selector {
	var all []Selector
	items := r.list(fields, "members")
	if len(items) == 0 {
		r.lacks(fields, "members", m.at, m.key, complain("has no members", `add "members": ["tag:ehr"]`))
	}
	for _, it := range items {
		s, bad := Selector{}, complain("a segment cannot hold another", "list its members")
		if !strings.HasPrefix(it.text, "seg:") {
			s, bad = r.names.selector(it.text)
		}
		switch {
		case bad != nil:
		case s.Kind != Tag && s.Kind != Net && s.Kind != Set:
			bad = complain("cannot belong to a segment", "name tags, hosts, addresses and ipsets")
		case r.names.holds(s, func(p netip.Prefix) bool { return p.Bits() == 0 }):
			bad = complain("is every address there is", "name what is worth protecting")
		}
		if bad != nil {
			r.failAt(it.at, "members", it.text, bad)
			continue
		}
		all = append(all, s)
	}
	return all
}

func (r *ruleReader) segmentOwner(m member, fields object) Selector {
	it, ok := r.word(fields, "owner")
	if !ok {
		r.lacks(fields, "owner", m.at, m.key, judge("has no owner", `add "owner": "group:...": who answers for it`))
		return Selector{}
	}
	owner := r.somebody(it, "owner")
	if people, known := r.names.headcount([]Selector{owner}); known && people == 0 {
		r.warn(it.at, it.text, "has nobody in it, who could answer for what it owns")
	}
	return owner
}

// somebody reads a group, a user or a role: people who can be called.
func (r *ruleReader) somebody(it item, key string) Selector {
	s, bad := r.names.selector(it.text)
	if bad == nil && s.Kind != Group && s.Kind != User && s.Kind != Role {
		bad = complain("is nobody who could answer for it", "name a group, a user or a role")
	}
	if bad != nil {
		r.failAt(it.at, key, it.text, bad)
		return Selector{}
	}
	return s
}

// LongestHold is for how long a rule lives on without a word from the coordinator where no
// segment says less.
const LongestHold = 30 * 24 * time.Hour

// offline reads {"hold": "30d"} or {"lapse": "1h"}.
func (r *ruleReader) offline(fields object) (lasts time.Duration, lapses bool) {
	r.notNull(fields, "offline")
	inner, ok := r.within(fields, "offline", offlineKeys)
	if !ok {
		return 0, false
	}
	if len(inner) != 1 {
		r.fail(fields.member("offline").at, "offline", complain("takes one of hold and lapse", `write {"hold": "30d"}, or {"lapse": "1h"} to end all rules by then`))
		return 0, false
	}
	r.filled(inner, "hold", `write such as "30d", or take offline out`)
	r.filled(inner, "lapse", `write such as "1h", or take offline out`)
	_, lapses = inner.get("lapse")
	lasts = r.period(inner, "hold") + r.period(inner, "lapse")
	if lasts > LongestHold {
		r.fail(fields.member("offline").at, "offline", judge("is longer than nodes keep any rule without the coordinator", `write "30d" or less`))
	}
	return lasts, lapses
}

// monitoredSegments gives the rules by which segments in monitor mode are open.
// They come last: what a written rule permits is not what is being looked for.
func (r *ruleReader) monitoredSegments(p *Policy) []Rule {
	var all []Rule
	everything, _ := grantService(nil, "*")
	for _, name := range p.Segments() {
		s := p.segments[name]
		if s.Monitor.IsZero() || len(s.Members) == 0 {
			continue
		}
		members := make([]item, len(s.Members))
		for i, m := range s.Members {
			members[i].text = m.Name
		}
		monitored := canonical{Action: "monitor", Src: []item{{text: "*"}}, Dst: members, IP: []item{{text: "*"}}}
		all = append(all, Rule{
			ID: acl.RuleID(name), Written: true, Section: "segments", Pos: s.Pos,
			Text:  string(monitored.appendTo(nil)),
			Src:   []Selector{{Kind: Any, Name: "*"}},
			Parts: []Part{{Dst: s.Members, Open: everything}},
			Log:   s.Log, LogSet: s.LogSet, Monitor: s.Monitor,
		})
	}
	return all
}
