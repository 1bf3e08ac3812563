package policy

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// maxShadowSteps bounds how long rules are looked at for what is only a warning.
const maxShadowSteps = 1_000_000

// shadows warns of rules that never decide anything: those whose names pick nothing,
// that a rule without a condition forbids as a whole, or that one before opens.
type shadows struct {
	*ruleReader
	steps int
	dead  map[*Rule]bool // warned of already
}

func (r *ruleReader) warnOfDeadRules(p *Policy) {
	s := &shadows{ruleReader: r, dead: make(map[*Rule]bool)}
	for i := range p.rules {
		s.empty(&p.rules[i])
	}
	s.forbidden(p)
	s.unreached(p.rules)
}

// forbidden warns of rules that a rule without a condition forbids as a whole.
func (s *shadows) forbidden(p *Policy) {
	for i := range p.forbids {
		f := &p.forbids[i]
		if f.Postures != nil || f.When.conditional() {
			continue
		}
		for j := range p.rules {
			if s.steps > maxShadowSteps {
				return
			}
			if rule := &p.rules[j]; !s.dead[rule] && s.covers(f, rule) {
				s.dead[rule] = true
				s.warnAt(rule.Pos, rule.shown(), "opens nothing: "+f.named("forbid")+" forbids all of it")
			}
		}
	}
}

// conditional tells whether anything is asked for.
func (w When) conditional() bool {
	return w.asksPeople() || len(w.Postures) > 0 || w.Schedule != "" || w.Risk != nil
}

// empty warns of a rule from or to nothing but empty groups and ipsets.
func (s *shadows) empty(rule *Rule) {
	picks := func(x Selector) bool { return !s.names.isEmptyName(x) }
	dead := len(rule.Src) > 0 && !slices.ContainsFunc(rule.Src, picks)
	into := slices.ContainsFunc(rule.Parts, func(p Part) bool { return p.Self || p.Internet || slices.ContainsFunc(p.Dst, picks) })
	if dead || len(rule.Parts) > 0 && !into {
		s.dead[rule] = true
		s.warnAt(rule.Pos, rule.shown(), "opens nothing: its src or its dst is empty")
	}
}

func (n *names) isEmptyName(s Selector) bool {
	switch s.Kind {
	case Group:
		return len(n.groups[s.Name]) == 0
	case Set:
		return len(n.ipsets[s.Name]) == 0
	}
	return false
}

// covers tells whether everything that a rule opens is forbidden, by the names
// alone.
func (s *shadows) covers(forbid, rule *Rule) bool {
	if len(rule.Src) == 0 || len(rule.Parts) == 0 || !s.all(forbid.Src, rule.Src, World) {
		return false
	}
	for _, part := range rule.Parts {
		covered := slices.ContainsFunc(forbid.Parts, func(f Part) bool {
			switch {
			case len(part.App) > 0 || !s.opens(f.Open, part.Open):
				return false
			case part.Self || part.Internet:
				return f.Self == part.Self && f.Internet == part.Internet
			}
			return s.all(f.Dst, part.Dst, Internet)
		})
		if !covered {
			return false
		}
	}
	return true
}

// all tells whether each of some selectors is among others. The kind is the one
// that * does not hold.
func (s *shadows) all(among, of []Selector, but Kind) bool {
	return !slices.ContainsFunc(of, func(x Selector) bool { return !s.in(among, x, but) })
}

func (s *shadows) in(among []Selector, x Selector, but Kind) bool {
	for _, a := range among {
		s.steps++
		if a.Key() == x.Key() || a.Kind == Any && x.Kind != but {
			return true
		}
		if a.Kind == InSegment && x.Kind != InSegment && s.in(s.names.segments[a.Name].Members, x, but) {
			return true
		}
	}
	return x.Kind == InSegment && len(s.names.segments[x.Name].Members) > 0 && s.all(among, s.names.segments[x.Name].Members, but)
}

// opens tells whether each service is within one of others, which are sorted and
// do not touch.
func (s *shadows) opens(all, of []acl.Service) bool {
	s.steps += len(all) * len(of)
	return !slices.ContainsFunc(of, func(x acl.Service) bool {
		return !slices.ContainsFunc(all, func(a acl.Service) bool {
			return a.Protocol == x.Protocol && a.First <= x.First && x.Last <= a.Last
		})
	})
}
