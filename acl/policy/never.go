package policy

import (
	"fmt"
	"slices"
)

// neverOpens warns of a rule whose conditions never hold at once, by themselves or with
// the floor of a segment to which it leads: whoever wrote it believes that it opens
// something. Whoever calls breaks no glass, and floors bind people alone.
func (r *ruleReader) neverOpens(rule *Rule, at int, fields object) {
	if !slices.ContainsFunc(rule.Src, r.names.mayBeBehind) { // of which srcPosture asks nothing
		r.atOdds(rule, fields)
	}
	people := func(s Selector) bool {
		return slices.Contains([]Kind{User, Group, Member, Domain, Role}, s.Kind)
	}
	asks := rule.When.Schedule != "" || rule.When.Session != nil || len(rule.When.Postures)+len(rule.Postures) > 0
	if !asks || !slices.ContainsFunc(rule.Src, people) {
		return
	}
	told := make(map[string]bool)
	for _, part := range rule.Parts {
		for _, dst := range part.Dst {
			for _, s := range r.floors.within(dst, r.names) {
				if r.floors.steps += 1 + (len(rule.When.Postures)+len(rule.Postures))*len(s.Requires.Postures); r.floors.steps > maxFloorSteps {
					return
				}
				if !told[s.Name] && r.neverMeets(rule, s, at, fields) {
					told[s.Name] = true
				}
			}
		}
	}
}

// neverMeets warns of a rule that lets no person into a segment, as its floor is.
func (r *ruleReader) neverMeets(rule *Rule, s *Segment, at int, fields object) bool {
	key, instead := "when", ": then the segment's own holds"
	odds := r.never(&rule.When, &s.Requires)
	if m, written := fields.get(key); written {
		at = m.at
	}
	if odds == nil {
		if odds = r.eachExcludes(rule.Postures, s.Requires.Postures); odds == nil {
			return false
		}
		key, instead = "defaultSrcPosture", ""
		if m, written := fields.get("srcPosture"); written && !m.value.isEmpty() {
			key, at = m.name, m.at
		}
	}
	r.warn(at, key, fmt.Sprintf("lets no person into %s: what that requires in line %d must hold too, and %s; %s%s", s.Name, s.Pos.Line, odds.why, odds.fix, instead))
	return true
}

// atOdds warns of a rule of which what is asked for under srcPosture and under when never
// holds at once.
func (r *ruleReader) atOdds(rule *Rule, fields object) {
	odds := r.eachExcludes(rule.Postures, rule.When.Postures)
	if odds == nil {
		return
	}
	m, written := fields.get("srcPosture")
	if !written || m.value.isEmpty() { // the file's default
		m = fields.member("when")
	}
	r.warn(m.at, m.name, fmt.Sprintf("never holds: what srcPosture and when ask for must hold both, and %s; %s", odds.why, odds.fix))
}

// odds are why two conditions never hold at once, and what to write instead of the first.
type odds struct{ why, fix string }

// never tells why a condition and a floor never hold at once; nil if they may. What two
// ask of logins, two logins may meet.
func (r *ruleReader) never(w, floor *When) *odds {
	switch {
	case w.Schedule != "" && floor.Schedule != "" && !r.meet(w.Schedule, floor.Schedule):
		a, b := r.names.schedules[w.Schedule], r.names.schedules[floor.Schedule]
		return &odds{fmt.Sprintf("the schedule %s (%s) has no time in common with %s (%s)", a.Name, a.Weekly, b.Name, b.Weekly), "write one that has, or leave it out"}
	case w.Session != nil && floor.Session != nil && w.Session.Kind != "" && floor.Session.Kind != "" && w.Session.Kind != floor.Session.Kind:
		return &odds{fmt.Sprintf("no session is both %s and %s", w.Session.Kind, floor.Session.Kind), fmt.Sprintf("write %q here too, or leave it out", floor.Session.Kind)}
	}
	if a, b, by := r.excludeAny(w.Postures, floor.Postures); by != "" {
		return &odds{fmt.Sprintf("%s and %s exclude each other by %s", a, b, by), fmt.Sprintf("leave %s out here", a)}
	}
	return nil
}

// eachExcludes tells why no device that has one of some postures has all of others; nil
// if one may.
func (r *ruleReader) eachExcludes(enough, all []string) *odds {
	why := ""
	for _, one := range enough {
		a, b, by := r.excludeAny([]string{one}, all)
		switch {
		case by == "":
			return nil
		case why == "" && len(enough) == 1:
			why = fmt.Sprintf("%s and %s exclude each other by %s", a, b, by)
		case why == "":
			why = fmt.Sprintf("none that srcPosture names goes with that: %s and %s, for one, exclude each other by %s", a, b, by)
		}
	}
	if why == "" {
		return nil
	}
	return &odds{why, "let srcPosture name one that goes with it"}
}

// meet tells whether two schedules are ever open at once, in the year ahead: by then the
// clocks of all zones were changed both ways. What is not looked at may be.
func (r *ruleReader) meet(a, b string) bool {
	pair := [2]string{min(a, b), max(a, b)}
	meet, known := r.floors.meet[pair]
	if !known {
		x, y := r.names.schedules[a].Weekly, r.names.schedules[b].Weekly
		const weeks = 53
		r.floors.steps += weeks * (x.Times() + y.Times())
		meet = r.floors.steps > maxFloorSteps || x.Meets(y, r.now, r.now.AddDate(1, 0, 0))
		r.floors.meet[pair] = meet
	}
	return meet
}
