package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// floorsOf gives the segments that ask for something of the people who come in, or
// of how much is recorded, by the key of each selector that leads into them.
func floorsOf(segments map[string]Segment) map[string][]*Segment {
	all := make(map[string][]*Segment)
	for name, s := range segments {
		if w := s.Requires; w.MFA == nil && w.Risk == nil && w.Session == nil && s.Impact != "life" {
			continue // nothing that a rule could fall short of
		}
		keys := []string{name}
		for _, m := range s.Members {
			keys = append(keys, m.Key())
		}
		slices.Sort(keys)
		for _, key := range slices.Compact(keys) {
			all[key] = append(all[key], &s)
		}
	}
	for _, segments := range all {
		slices.SortFunc(segments, func(a, b *Segment) int { return strings.Compare(a.Name, b.Name) })
	}
	return all
}

// checkFloors refuses a rule whose written condition is weaker than the floor of
// a segment that it leads into. The floor would hold anyway: but whoever reads the
// rule would believe what it says.
func (r *ruleReader) checkFloors(rule *Rule, at int, fields object) {
	if len(r.floors) == 0 {
		return
	}
	machine := func(s Selector) bool { return s.Kind == Tag || s.Kind == Tagged }
	people := slices.ContainsFunc(rule.Src, func(s Selector) bool { return !machine(s) })
	told := make(map[string]bool)
	for _, part := range rule.Parts {
		for _, dst := range part.Dst {
			floors := r.floors[dst.Key()]
			r.expand(at, 1, 1, len(floors))
			if r.pairs > maxPairs {
				return // reported
			}
			for _, s := range floors {
				if !told[s.Name] && r.fallsShort(rule, people, s, fields) {
					told[s.Name] = true
				}
			}
		}
	}
}

// fallsShort reports where a rule asks for less, or records less, than a segment
// needs.
func (r *ruleReader) fallsShort(rule *Rule, people bool, s *Segment, fields object) (short bool) {
	if s.Impact == "life" && !rule.Log.Flows() {
		short = true
		r.fail(fields.member("log").at, "log", judge(fmt.Sprintf("is too little for %s in line %d: lives hang on it", s.Name, s.Pos.Line),
			`write "flows", "detail" or "record", or leave it out`))
	}
	if why := rule.When.weaker(s.Requires); people && len(why) > 0 {
		short = true
		r.fail(fields.member("when").at, "when", judge(fmt.Sprintf("is weaker than what %s requires in line %d: %s", s.Name, s.Pos.Line, strings.Join(why, "; ")),
			"ask for as much, or leave it out: then the segment's own holds"))
	}
	return short
}

// weaker tells which written conditions ask for less than a floor.
func (w When) weaker(floor When) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if w.MFA != nil && floor.MFA != nil {
		if floor.MFA.Within > 0 && w.MFA.Within > floor.MFA.Within {
			say("mfa within %s, and the floor is %s", SpanText(w.MFA.Within), SpanText(floor.MFA.Within))
		}
		for _, method := range w.MFA.AMR {
			if len(floor.MFA.AMR) > 0 && !slices.Contains(floor.MFA.AMR, method) {
				say("amr %s, and the floor lists %s", method, strings.Join(floor.MFA.AMR, ", "))
			}
		}
	}
	if w.Risk != nil && floor.Risk != nil && *w.Risk > *floor.Risk {
		say("risk <%d, and the floor is <%d", *w.Risk, *floor.Risk)
	}
	if w.Session != nil && floor.Session != nil && floor.Session.Idle > 0 && w.Session.Idle > floor.Session.Idle {
		say("idle %s, and the floor is %s", SpanText(w.Session.Idle), SpanText(floor.Session.Idle))
	}
	return all
}

// protocols gives those that any rule opens.
func protocols(rules []Rule) []acl.Protocol {
	var all [256]bool
	for i := range rules {
		for _, part := range rules[i].Parts {
			for _, s := range part.Open {
				all[s.Protocol] = true
			}
		}
	}
	var named []acl.Protocol
	for p, in := range all {
		if in {
			named = append(named, acl.Protocol(p))
		}
	}
	return named
}
