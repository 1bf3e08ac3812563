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
	first := make(map[string][]*Rule) // by the key of a source: those that ask for nothing
	for i := range rules {
		rule := &rules[i]
		if rule.Section != "grants" && rule.Section != "acls" || len(rule.Src) == 0 || s.dead[rule] {
			continue
		}
		if s.steps > maxShadowSteps {
			return
		}
		if before := s.opensBefore(first, rule); before != nil {
			s.warnAt(rule.Pos, rule.shown(), "is never asked: "+before.named("rule")+", which asks for nothing, opens all of it before")
		} else if rule.open() {
			for _, src := range rule.Src {
				first[src.Key()] = append(first[src.Key()], rule)
			}
		}
	}
}

// opensBefore gives a rule that opens all that another one does. One of its sources is
// the first of the other's, or everybody.
func (s *shadows) opensBefore(first map[string][]*Rule, rule *Rule) *Rule {
	if len(rule.Devices) > 0 || rule.Via != nil {
		return nil
	}
	for _, key := range []string{rule.Src[0].Key(), Selector{Kind: Any, Name: "*"}.Key()} {
		for _, before := range first[key] {
			if s.steps++; s.steps > maxShadowSteps {
				return nil
			}
			if (key == rule.Src[0].Key() || !slices.ContainsFunc(rule.Src, byAddress)) && s.covers(before, rule) {
				return before
			}
		}
	}
	return nil
}

// byAddress reports whether a selector may have addresses that * as a source has not.
func byAddress(s Selector) bool { return s.Kind == Net || s.Kind == Set || s.Kind == InSegment }

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
