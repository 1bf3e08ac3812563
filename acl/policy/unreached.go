package policy

import (
	"fmt"
	"slices"
)

// unreached warns of rules that are never asked, since one before opens all
// that they do and asks for nothing: what such a rule asks for, counts or records does
// not happen, which whoever wrote it will not expect.
func (s *shadows) unreached(rules []Rule) {
	s.steps = 0
	open := &opened{names: s.names, at: make(map[string][]int), in: make(map[string][]string)}
	for i := range rules {
		rule := &rules[i]
		if rule.Section != "grants" && rule.Section != "acls" || len(rule.Src) == 0 || s.dead[rule] {
			continue
		}
		if s.spent() {
			return
		}
		if before := s.opensBefore(open, rules, rule); before != nil {
			s.warnAt(rule.Pos, rule.shown(), "is never asked: "+before.named("rule")+", which asks for nothing, opens all of it before")
		} else if rule.open() {
			open.add(i, rule.Src)
		}
	}
}

// opensBefore gives the first rule that opens all that another one does. One of its
// sources picks the first of the other's that picks anybody.
func (s *shadows) opensBefore(open *opened, rules []Rule, rule *Rule) (before *Rule) {
	picks := func(x Selector) bool { return !s.names.isEmptyName(x) }
	first := slices.IndexFunc(rule.Src, picks)
	if len(rule.Devices) > 0 || rule.Via != nil || first < 0 {
		return nil
	}
	earliest := len(rules)
	for _, key := range open.pickedBy(rule.Src[first]) {
		s.steps++
		for _, i := range open.at[key] {
			if s.steps++; i >= earliest || s.steps > maxShadowSteps {
				break
			}
			if s.covers(&rules[i], rule) {
				earliest, before = i, &rules[i]
				break
			}
		}
	}
	return before
}

// shown is the id of a rule if it stands in the file, where a reader can find it.
func (r *Rule) shown() string {
	if !r.Written {
		return ""
	}
	return string(r.ID)
}

// named says which rule in the file is meant.
func (r *Rule) named(what string) string {
	if !r.Written {
		return fmt.Sprintf("the %s in line %d", what, r.Pos.Line)
	}
	return fmt.Sprintf("the %s %q in line %d", what, r.ID, r.Pos.Line)
}

// open reports whether a rule opens ports, and asks for nothing.
func (r *Rule) open() bool {
	return r.Postures == nil && r.Devices == nil && r.Via == nil && r.Through == nil && r.Limit == nil && r.Approval == "" &&
		!r.When.conditional() && r.Monitor.IsZero() && !slices.ContainsFunc(r.Parts, func(p Part) bool { return len(p.App) > 0 })
}
