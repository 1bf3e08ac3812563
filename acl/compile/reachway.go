package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// Way is what one rule opens from one class to another, and when.
type Way struct {
	Rule acl.RuleID
	Open []acl.Service
	When []string // what must be so, in words: each is enough; nil: it is open always
}

// ways gathers those of one pair of classes.
type ways []Way

// add adds what a part opens. Parts of one rule are one way if they ask for the same.
func (w *ways) add(p *part, open []acl.Service, when []string) {
	if i := len(*w) - 1; i >= 0 && (*w)[i].Rule == p.rule.ID && slices.Equal((*w)[i].When, when) {
		(*w)[i].Open = acl.MergeServices(append(slices.Clip((*w)[i].Open), open...))
		return
	}
	*w = append(*w, Way{p.rule.ID, open, when})
}

// open gives what all ways open together, sorted.
func (w ways) open() []acl.Service {
	var all []acl.Service
	for _, one := range w {
		all = append(all, one.Open...)
	}
	return acl.MergeServices(all)
}

// rules gives the rules, in the policy's order.
func (w ways) rules() []acl.RuleID {
	var all []acl.RuleID
	for _, one := range w {
		if len(all) == 0 || all[len(all)-1] != one.Rule {
			all = append(all, one.Rule)
		}
	}
	return all
}

// text says when the ways are open: in one, if all ask for the same.
func (w ways) text() string {
	texts := make([]string, len(w))
	for i, one := range w {
		if texts[i] = strings.Join(one.When, "; or "); texts[i] == "" {
			texts[i] = "always"
		}
	}
	if len(slices.Compact(slices.Clone(texts))) == 1 {
		return texts[0]
	}
	for i, one := range w {
		texts[i] = fmt.Sprintf("%s by %s: %s", openText(one.Open), one.Rule, texts[i])
	}
	return strings.Join(texts, "; ")
}

// when says on what a part is open from one class to another, where others forbid it
// perhaps. Each of the texts is enough; of what is open always there is none.
func (m *Mesh) when(p *part, perhaps []*part, from, to *class) []string {
	key := p.between(from, to.zone)
	all, known := p.whens[key]
	if !known {
		all = m.groundTexts(m.groundsOf(p, key))
		if p.whens == nil {
			p.whens = make(map[groundKey][]string)
		}
		p.whens[key] = all
	}
	unless := m.unless(p, perhaps, from, to)
	switch {
	case unless == "":
		return all
	case len(all) == 0:
		return []string{unless}
	}
	all = slices.Clone(all)
	for i := range all {
		all[i] += ", " + unless
	}
	return all
}

// groundTexts says what each ground asks for that nodes can obey; nil if one asks for
// nothing.
func (m *Mesh) groundTexts(grounds []ground) (all []string) {
	for _, g := range grounds {
		if len(g.features) > 0 {
			continue
		}
		if bare(g) {
			return nil
		}
		if text := m.groundText(&g); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// unless says under which conditions something is forbidden that a part opens.
func (m *Mesh) unless(p *part, perhaps []*part, from, to *class) string {
	var all []string
	for _, f := range perhaps {
		if slices.Equal(acl.WithoutServices(p.open, f.open), p.open) {
			continue // it forbids something else
		}
		for _, text := range m.groundTexts(m.groundsOf(f, f.between(from, to.zone))) {
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "unless " + strings.Join(all, " or ")
}

// groundText says what a ground asks for; nothing is empty.
func (m *Mesh) groundText(g *ground) string {
	var all []string
	for _, f := range g.needs {
		all = append(all, m.shortText(f))
	}
	for _, name := range g.schedules {
		all = append(all, "schedule "+name)
	}
	if !g.until.IsZero() {
		all = append(all, "until "+g.until.UTC().Format("2006-01-02 15:04 MST"))
	}
	if g.monitor {
		all = append(all, "while it is only monitored")
	}
	return strings.Join(all, " and ")
}

// shortText is factText for a column of a table.
func (m *Mesh) shortText(f acl.Fact) string {
	switch n := m.book.needs[f]; {
	case n.signedIn:
		return "signed in"
	case n.mfa != nil:
		return strings.Replace(loginText(n.mfa), "a login", "mfa", 1)
	case n.session != nil:
		return strings.Replace(sessionText(n.session), "a session at the device", "session", 1)
	case n.onCall != "":
		return "on duty by " + n.onCall
	case n.risk != nil:
		return fmt.Sprintf("risk below %d", *n.risk)
	case n.approval != nil:
		a, _ := m.pol.Approval(n.approval.Approval)
		return fmt.Sprintf("approval by %d of %s", max(1, a.Count), listText(a.By))
	case n.glass != "":
		return "break-glass " + n.glass
	case n.person != nil:
		return "somebody of " + listText(n.person.people) + " at the device"
	}
	return string(f)
}
