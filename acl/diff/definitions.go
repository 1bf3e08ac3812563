package diff

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
)

// definer gathers what a policy defines.
type definer struct {
	definitions
	pol    *policy.Policy
	absent func(login string) bool // has no node

	// Whole has what forbids told by itself: of made-up people nobody is in two groups,
	// of which one opens what the other forbids.
	whole bool
}

// definitionsOf gathers what counts in a policy besides the reach that its rules give
// to whom is there.
func definitionsOf(pol *policy.Policy, absent func(login string) bool, whole bool) definitions {
	d := definer{make(definitions), pol, absent, whole}
	for i := range pol.Rules() {
		d.rule(&pol.Rules()[i], false)
	}
	for r := range pol.Forbids() {
		d.rule(r, true)
	}
	for _, name := range pol.Segments() {
		s, _ := pol.Segment(name)
		d.conditions("segment "+name, &s.Requires, false)
		d.segment(&s)
	}
	for i := range pol.BreakGlass() {
		d.glass(&pol.BreakGlass()[i])
	}
	for _, name := range pol.Lockdowns() {
		l, _ := pol.Lockdown(name)
		d.lockdown(&l)
	}
	d.approvers()
	d.assets()
	for i := range pol.SSH() {
		d.ssh(&pol.SSH()[i])
	}
	for _, a := range pol.NodeAttrs() {
		whose := short(series(d.who("nodeAttrs", a.Target)))
		for _, attr := range a.Attrs {
			d.bare("attribute "+short(attr)+" of "+whose, "")
		}
	}
	for _, tag := range pol.Tags() {
		if owners, ok := pol.TagOwners(tag); ok {
			one := d.at(tag)
			one.used = true
			one.words("may be put on nodes by %s", 1, d.who(tag, owners)...)
		}
	}
	return d.definitions
}

// bare adds something that is all said by its name.
func (d *definer) bare(name, user string) *definition {
	one := d.at(name)
	one.alone = true
	if user != "" {
		one.users[user] = true
	}
	return one
}

// use notes who uses a definition, and tells whether nobody did before.
func (d *definer) use(name, user string, forbid bool) (one *definition, first bool) {
	_, known := d.definitions[name]
	one = d.at(name)
	one.users[user] = true
	one.opens, one.forbids = one.opens || !forbid, one.forbids || forbid
	return one, !known
}

// who names selectors, and notes that their groups are used.
func (d *definer) who(user string, all []policy.Selector) []string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
		if s.Kind != policy.Group {
			continue
		}
		if one, first := d.use(s.Name, user, false); first {
			members, _ := d.pol.Group(s.Name)
			one.words("is %s", 1, members...)
		}
	}
	return names
}

// conditions notes what a rule, or a segment, asks for by name.
func (d *definer) conditions(user string, w *policy.When, forbid bool) {
	for _, name := range w.Postures {
		d.posture(name, user, forbid)
	}
	if s, ok := d.pol.Schedule(w.Schedule); ok {
		if one, first := d.use("schedule "+s.Name, user, forbid); first {
			one.words("is open at %s", 1, s.Weekly.String())
			one.fields[0].hours = &s
		}
	}
	if o, ok := d.pol.OnCall(w.OnCall); ok {
		if one, first := d.use("oncall "+o.Name, user, forbid); first {
			one.words("is the roster %s", 0, o.File)
		}
	}
}

func (d *definer) posture(name, user string, forbid bool) {
	p, ok := d.pol.Posture(name)
	if !ok {
		return
	}
	if one, first := d.use(name, user, forbid); first {
		var all []string
		for _, c := range p.Conditions {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Attribute, c.Op, valueText(c.Values))))
		}
		one.words("asks for %s", -1, all...)
	}
}

func (d *definer) approval(name, user string) {
	a, ok := d.pol.Approval(name)
	if !ok {
		return
	}
	if one, first := d.use(name, user, false); first {
		ticket := "no ticket"
		if a.Ticket != nil {
			ticket = "a ticket like " + a.Ticket.String()
		}
		one.number("needs %s approvers", -1, int64(a.Count), fmt.Sprint(a.Count))
		one.words("is given by %s", 1, d.who(name, a.By)...)
		one.flag("may not be given by who asks: %s", -1, a.NotRequester)
		one.number("lasts at most %s", 1, lasting(a.MaxDuration), span(a.MaxDuration))
		one.words("needs %s", 0, ticket)
		one.number("lets flows go on for %s after its end", 1, int64(a.OnExpiry.Drain), span(a.OnExpiry.Drain))
	}
}

func (d *definer) segment(s *policy.Segment) {
	one := d.at(s.Name)
	one.used = true
	members := make([]string, len(s.Members))
	for i, m := range s.Members {
		members[i] = m.Name
	}
	one.words("is %s", 0, members...)
	one.flag("ends flows of people when the coordinator is silent: %s", -1, s.Lapses)
	one.words("records flows as %s", 0, logText(s.LogSet, s.Log))
}

func (d *definer) glass(g *policy.BreakGlass) {
	one := d.bare("breakGlass "+g.ID, "")
	one.opens = true
	one.words("lifts conditions of %s", 1, g.Segments...)
	one.words("lifts %s", 1, g.Waives...)
	one.words("is declared by %s", 1, d.who(one.name, g.By)...)
	one.number("needs %s people to declare it", -1, int64(g.Count), fmt.Sprint(g.Count))
	one.flag("needs a reason: %s", -1, g.Reason)
	one.number("lasts at most %s", 1, lasting(g.MaxDuration), span(g.MaxDuration))
	one.number("comes again after %s", -1, int64(g.Cooldown), span(g.Cooldown))
	one.words("alerts %s", 0, d.who(one.name, g.Alert)...)
	one.words("is reviewed by %s", 0, d.who(one.name, []policy.Selector{g.Review.By})...)
	one.number("is reviewed within %s", 0, int64(g.Review.Within), span(g.Review.Within))
	one.flag("may be broken without the coordinator: %s", 1, g.Offline)
}

func (d *definer) lockdown(l *policy.Lockdown) {
	one := d.bare("lockdown "+l.Name, "")
	one.forbids = true
	one.words("is declared by %s", 0, d.who(one.name, l.By)...)
	one.number("needs %s people to declare it", 0, int64(l.Count), fmt.Sprint(l.Count))
	var rules []string
	for i := range l.Rules {
		rules = append(rules, outline(&l.Rules[i]))
	}
	one.words("forbids %s", -1, rules...)
}

func (d *definer) approvers() {
	all := d.pol.AutoApprovers()
	for _, r := range all.Routes {
		one := d.bare("routes in "+prefixText(r.Prefix), "")
		one.opens = true
		one.words("are approved of %s", 1, d.who("autoApprovers", r.Who)...)
	}
	if len(all.ExitNode) > 0 {
		one := d.bare("exit nodes", "")
		one.opens = true
		one.words("are approved of %s", 1, d.who("autoApprovers", all.ExitNode)...)
	}
}

func (d *definer) assets() {
	for _, a := range d.pol.Assets() {
		m := a.Match
		text := fmt.Sprintf("%s behind %s, known by %s", a.Tag, a.Behind, a.Bind)
		if m.VLAN != 0 {
			text += fmt.Sprintf(", in VLAN %d", m.VLAN)
		}
		if len(m.OUI) > 0 {
			text += ", made by " + strings.Join(slices.Sorted(slices.Values(m.OUI)), " or ")
		}
		if m.Vendor != "" {
			text += ", of the vendor class " + m.Vendor
		}
		if a.Isolate != "" {
			text += ", isolated by " + a.Isolate
		}
		if m.Set != "" {
			text += ", in " + m.Set
			d.ipset(m.Set, a.Tag)
		}
		d.bare("devices with "+text, "")
	}
}

func (d *definer) ipset(name, user string) {
	if one, first := d.use(name, user, false); first {
		prefixes, _ := d.pol.IPSet(name)
		var all []string
		for _, p := range prefixes {
			all = append(all, prefixText(p))
		}
		one.words("holds %s", 0, all...)
	}
}

func (d *definer) ssh(r *policy.SSHRule) {
	var users []string
	for _, u := range r.Users {
		switch u.Kind {
		case policy.NonRoot:
			users = append(users, "anybody but root")
		case policy.LocalPart:
			users = append(users, "themselves at "+u.Domain)
		default:
			users = append(users, u.Login)
		}
	}
	slices.Sort(users)
	text := fmt.Sprintf("ssh of %s to %s as %s", series(d.who("ssh", r.Src)), series(d.who("ssh", r.Dst)), series(users))
	switch {
	case r.Check && r.CheckPeriod == policy.DefaultCheckPeriod:
		text += ", checked"
	case r.Check:
		text += ", checked every " + span(r.CheckPeriod)
	}
	if len(r.AcceptEnv) > 0 {
		text += ", with " + series(r.AcceptEnv)
	}
	if r.Postures != nil {
		text += ", from " + strings.Join(r.Postures, " or ")
	}
	for _, name := range r.Postures {
		d.posture(name, "ssh", false)
	}
	d.bare(short(text), "").opens = true
}

// lasting makes no end the longest.
func lasting(d time.Duration) int64 {
	if d == 0 {
		return int64(1) << 62
	}
	return int64(d)
}

func span(d time.Duration) string {
	if d == 0 {
		return "no time"
	}
	return policy.SpanText(d)
}

func valueText(all []any) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = fmt.Sprintf("%v", v)
		if text, ok := v.(string); ok {
			texts[i] = "'" + text + "'"
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
