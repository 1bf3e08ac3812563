package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// rule adds what a rule uses, and what it says that is no reach between nodes.
func (d *definer) rule(r *policy.Rule, forbid bool) {
	user := label(r)
	for _, name := range r.Postures {
		d.posture(name, user, forbid)
	}
	d.conditions(user, &r.When, forbid)
	if r.Approval != "" {
		d.approval(r.Approval, user)
	}
	one := d.at("rule " + ruleKey(r))
	one.name, one.used = user, true
	one.words("is recorded as %s", 0, logText(r.LogSet, r.Log))
	one.words("waits for %s", 0, orNothing(r.Approval)...)
	one.words("goes through %s", 0, r.Through...)
	if d.whole { // one gateway stands for all routers
		one.words("leads through routers with %s", 0, r.Via...)
	}
	d.beyond(r, user, forbid)
	if forbid && d.whole && r.Level == "" {
		one := d.bare("what is forbidden by "+user+": "+outline(r), "")
		one.forbids = true
		one.words("asks for %s", 1, asks(r)...)
	}
	d.absentees(r.Src, user, forbid)
	for i := range r.Parts {
		d.absentees(r.Parts[i].Dst, user, forbid)
	}
}

// absentees adds those members of groups who have no node yet: of them no reach is told.
func (d *definer) absentees(all []policy.Selector, user string, forbid bool) {
	for _, s := range all {
		if s.Kind != policy.Group {
			continue
		}
		members, _ := d.pol.Group(s.Name)
		if one, first := d.use("those of "+s.Name+" who have no node yet", user, forbid); first {
			one.words("are %s", 1, slices.DeleteFunc(slices.Clone(members), func(m string) bool { return !d.absent(m) })...)
		}
	}
}

// asks gives what a rule asks for, for those whom no reach is told of.
func asks(r *policy.Rule) []string {
	all := slices.Concat(r.Postures, r.When.Postures, r.Devices, r.Through, r.Via)
	note := func(set bool, format string, value any) {
		if set {
			all = append(all, fmt.Sprintf(format, value))
		}
	}
	w := &r.When
	if w.MFA != nil {
		all = append(all, string(w.MFA.Fact()))
	}
	if w.Session != nil {
		all = append(all, string(w.Session.Fact()))
	}
	if w.Risk != nil {
		all = append(all, string(policy.RiskFact(*w.Risk)))
	}
	note(w.Schedule != "", "schedule:%s", w.Schedule)
	note(w.OnCall != "", "oncall:%s", w.OnCall)
	note(r.Glass != "", "break-glass:%s", r.Glass)
	note(r.Level != "", "lockdown %s", r.Level)
	note(r.MustRecord, "%s", "a session that is recorded")
	note(!r.Monitor.IsZero(), "monitored until %s", r.Monitor.UTC())
	note(r.Limit != nil, "limit %v", r.Limit)
	note(r.OnExpiry.Drain > 0, "going on for %s after its end", r.OnExpiry.Drain)
	return all
}

// beyond adds what a rule opens or forbids where no node is: at exit nodes, and in
// applications.
func (d *definer) beyond(r *policy.Rule, user string, forbid bool) {
	for i := range r.Parts {
		p := &r.Parts[i]
		if p.Internet || slices.ContainsFunc(p.Dst, func(s policy.Selector) bool { return s.Kind == policy.Set && d.pol.OnInternet(s.Name) }) {
			one := d.bare("through exit nodes "+outline(r), user)
			one.opens, one.forbids = !forbid, forbid
			sense := -1
			if forbid {
				sense = 1
			}
			one.words("asks for %s", sense, asks(r)...)
			d.who(one.name, r.Src)
		}
		ends := ""
		if len(p.App) > 0 {
			ends = short(keys(r.Src)) + " at " + short(keys(p.Dst))
		}
		for _, c := range p.App {
			one := d.bare(fmt.Sprintf("capability %s of %s, %s", short(c.Name), ends, short(strings.Join(c.Values, ", "))), "")
			one.opens = true
		}
	}
}

// label names a rule as its readers know it.
func label(r *policy.Rule) string {
	if r.Written {
		return "rule " + string(r.ID)
	}
	return fmt.Sprintf("the rule in line %d", r.Pos.Line)
}

// ruleKey is what makes two rules of two policies the same one: the id that was
// written, or else who may open what.
func ruleKey(r *policy.Rule) string {
	if r.Written {
		return string(r.ID)
	}
	return outline(r)
}

// outline says who may, or may not, open what.
func outline(r *policy.Rule) string {
	var parts []string
	for i := range r.Parts {
		p := &r.Parts[i]
		where := keys(p.Dst)
		switch {
		case p.Self:
			where = "their own nodes"
		case p.Internet:
			where = "the internet"
		}
		parts = append(parts, series(serviceTexts(p.Open))+" at "+where)
	}
	return keys(r.Src) + " to " + series(parts)
}

func keys(all []policy.Selector) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.Name
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

func logText(set bool, level acl.LogLevel) string {
	if !set {
		return "usual"
	}
	return []string{acl.LogFlows: "flows", acl.LogDrops: "drops", acl.LogOff: "off", acl.LogDetail: "detail", acl.LogRecord: "record"}[level]
}

func orNothing(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}
