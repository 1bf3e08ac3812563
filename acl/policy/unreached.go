package policy

import (
	"fmt"
	"slices"
	"strings"
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
			for _, key := range s.picking(rule.Src) {
				first[key] = append(first[key], rule)
			}
		}
	}
}

// opensBefore gives a rule that opens all that another one does. One of its sources
// picks the first of the other's.
func (s *shadows) opensBefore(first map[string][]*Rule, rule *Rule) *Rule {
	if len(rule.Devices) > 0 || rule.Via != nil {
		return nil
	}
	for _, key := range s.pickedBy(rule.Src[0]) {
		for _, before := range first[key] {
			if s.steps++; s.steps > maxShadowSteps {
				return nil
			}
			if s.covers(before, rule) {
				return before
			}
		}
	}
	return nil
}

// byAddress is the key of sources that pick by address.
const byAddress = "net:"

// picking gives the keys by which a rule is found that has some sources.
func (s *shadows) picking(all []Selector) (keys []string) {
	for _, x := range append(slices.Clone(all), s.membersOf(all)...) {
		keys = append(keys, x.Key())
		switch x.Kind {
		case Net, Set:
			keys = append(keys, byAddress)
		case Group:
			s.steps += len(s.names.groups[x.Name])
			for _, login := range s.names.groups[x.Name] {
				keys = append(keys, Selector{Kind: User, Name: login}.Key())
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (s *shadows) membersOf(all []Selector) (members []Selector) {
	for _, x := range all {
		members = append(members, s.names.members(x)...)
	}
	return members
}

// pickedBy gives keys under which are all rules of which a source picks all that
// another does.
func (s *shadows) pickedBy(x Selector) []string {
	keys := []string{x.Key(), "*", "autogroup:danger-all"}
	person := func(login string) {
		_, domain, _ := strings.Cut(login, "@")
		keys = append(keys, "autogroup:member", Selector{Kind: User, Name: login}.Key(), "user:*@"+domain)
	}
	switch x.Kind {
	case User:
		person(x.Name)
	case Group:
		for _, login := range s.names.groups[x.Name][:min(1, len(s.names.groups[x.Name]))] {
			person(login)
		}
	case Domain, Role:
		keys = append(keys, "autogroup:member")
	case Tag:
		keys = append(keys, "autogroup:tagged")
	case Net, Set:
		keys = append(keys, byAddress)
	case InSegment:
		for _, m := range s.names.members(x)[:min(1, len(s.names.members(x)))] {
			keys = append(keys, s.pickedBy(m)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
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
