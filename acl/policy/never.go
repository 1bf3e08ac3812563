package policy

import (
	"fmt"
	"slices"
)

// neverOpens warns of a rule whose condition and the floor of a segment to which it leads
// never hold at once: whoever wrote it believes that it opens something. Whoever calls
// breaks no glass, and floors bind people alone.
func (r *ruleReader) neverOpens(rule *Rule, fields object) {
	people := func(s Selector) bool {
		return slices.Contains([]Kind{User, Group, Member, Domain, Role}, s.Kind)
	}
	asks := rule.When.Schedule != "" || rule.When.Session != nil || len(rule.When.Postures) > 0
	if !asks || !slices.ContainsFunc(rule.Src, people) {
		return
	}
	told := make(map[string]bool)
	for _, part := range rule.Parts {
		for _, dst := range part.Dst {
			for _, s := range r.floors.within(dst, r.names) {
				if r.floors.steps += 1 + len(rule.When.Postures)*len(s.Requires.Postures); r.floors.steps > maxFloorSteps {
					return
				}
				why := r.never(&rule.When, &s.Requires)
				if why == "" || told[s.Name] {
					continue
				}
				told[s.Name] = true
				r.warn(fields.member("when").at, "when", fmt.Sprintf("lets no person into %s: what that requires in line %d must hold too, and %s", s.Name, s.Pos.Line, why))
			}
		}
	}
}

// never tells why a condition and a floor never hold at once; "" if they may.
func (r *ruleReader) never(w, floor *When) string {
	switch {
	case w.Schedule != "" && floor.Schedule != "" && !r.meet(w.Schedule, floor.Schedule):
		a, b := r.names.schedules[w.Schedule], r.names.schedules[floor.Schedule]
		return fmt.Sprintf("the schedule %s (%s) has no time in common with %s (%s); write one that has, or leave it out: then the segment's own holds", a.Name, a.Weekly, b.Name, b.Weekly)
	case w.Session != nil && floor.Session != nil && w.Session.Kind != "" && floor.Session.Kind != "" && w.Session.Kind != floor.Session.Kind:
		return fmt.Sprintf("no session is both %s and %s; write %q here too, or leave it out: then the segment's own holds", w.Session.Kind, floor.Session.Kind, floor.Session.Kind)
	}
	if a, b, by := r.excludeAny(w.Postures, floor.Postures); by != "" {
		return fmt.Sprintf("%s and %s exclude each other by %s; leave %s out here: then the segment's own holds", a, b, by, a)
	}
	return ""
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
