package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// checkFloors refuses a rule that leads into a segment and records less than lives need,
// and one all of whose destination is in a segment and whose written condition is weaker
// than the floor. The floor would hold anyway: but whoever reads the rule would believe
// what it says. So a rule that leads elsewhere too is warned of.
func (r *ruleReader) checkFloors(rule *Rule, at int, fields object) {
	quiet, asks := !rule.Log.Flows(), rule.When.MFA != nil || rule.When.Risk != nil || rule.When.Session != nil
	if !quiet && !asks {
		return
	}
	machine := func(s Selector) bool { return s.Kind == Tag || s.Kind == Tagged }
	asks = asks && slices.ContainsFunc(rule.Src, func(s Selector) bool { return !machine(s) })
	told := make(map[string]bool)
	for _, part := range rule.Parts {
		for _, dst := range part.Dst {
			within := r.floors.within(dst, r.names)
			r.expand(at, 1, 1, len(within))
			if r.pairs > maxPairs {
				return // reported
			}
			for _, s := range within {
				if !told[s.Name] && r.fallsShort(rule, asks, s, fields) {
					told[s.Name] = true
				}
			}
		}
	}
	if len(told) == 0 {
		r.touching(rule, at, quiet, asks, fields)
	}
}

// fallsShort refuses a rule that asks for less, or records less, than a segment needs in
// which all is to which it leads.
func (r *ruleReader) fallsShort(rule *Rule, asks bool, s *Segment, fields object) (short bool) {
	if s.Impact == "life" && !rule.Log.Flows() {
		short = true
		r.quiet(s, fields)
	}
	if why := rule.When.weaker(s.Requires); asks && len(why) > 0 {
		short = true
		r.fail(fields.member("when").at, "when", judge(fmt.Sprintf("is weaker than what %s requires in line %d: %s", s.Name, s.Pos.Line, strings.Join(why, "; ")),
			"ask for as much, or leave it out: then the segment's own holds"))
	}
	return short
}

func (r *ruleReader) quiet(s *Segment, fields object) {
	r.fail(fields.member("log").at, "log", judge(fmt.Sprintf("is too little for %s in line %d: lives hang on it", s.Name, s.Pos.Line),
		`write "flows", "detail" or "record", or leave it out`))
}

// touching looks at the segments of which a rule reaches a part, and tells of the first.
func (r *ruleReader) touching(rule *Rule, at int, quiet, asks bool, fields object) {
	spent := func() bool {
		if r.floors.steps++; quiet { // an error must not be missed, a warning may
			r.expand(at, 1, 1, 1)
			return r.pairs > maxPairs
		}
		return r.floors.steps > maxFloorSteps
	}
	for _, part := range rule.Parts {
		for _, dst := range part.Dst {
			for s := range r.floors.touched(dst, r.names, spent) {
				if quiet && s.Impact == "life" {
					r.quiet(s, fields)
					return
				}
				if !asks {
					continue
				}
				if why := rule.When.weaker(s.Requires); len(why) > 0 {
					asks = false
					r.warn(fields.member("when").at, "when", fmt.Sprintf("is weaker than what %s requires in line %d, to which it leads among others: %s; there the segment's own holds",
						s.Name, s.Pos.Line, strings.Join(why, "; ")))
				}
			}
		}
	}
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
