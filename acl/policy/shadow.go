package policy

import (
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// maxShadowSteps bounds how long rules are looked at for what is only a warning.
const maxShadowSteps = 3_000_000

// shadows warns of rules that never decide anything: those whose names pick nothing,
// that a rule without a condition forbids as a whole, or that one before opens.
type shadows struct {
	*ruleReader
	steps int
	dead  map[*Rule]bool // warned of already
	sides map[*Rule]*sides
	alike map[string]*side // by the names on it: a thousand rules may be from one group
}

// sides are those of a rule that covers others.
type sides struct {
	src *side
	dst []*side // of each part
}

func (s *shadows) sidesOf(rule *Rule) *sides {
	one, known := s.sides[rule]
	if !known {
		one = &sides{src: s.side(rule.Src, true)}
		for _, part := range rule.Parts {
			one.dst = append(one.dst, s.side(part.Dst, false))
		}
		s.sides[rule] = one
	}
	return one
}

// side gives one side for all that name the same, which keeps what it found out.
func (s *shadows) side(names []Selector, source bool) *side {
	s.steps += len(names)
	key := []byte("to")
	if source {
		key = []byte("from")
	}
	for _, x := range names {
		key = append(append(key, ' '), x.Key()...)
	}
	one, known := s.alike[string(key)]
	if !known {
		one = s.names.side(names, source)
		s.alike[string(key)] = one
	}
	return one
}

func (r *ruleReader) warnOfDeadRules(p *Policy) {
	s := &shadows{ruleReader: r, dead: make(map[*Rule]bool), sides: make(map[*Rule]*sides), alike: make(map[string]*side)}
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
			if s.spent() {
				return
			}
			if rule := &p.rules[j]; !s.dead[rule] && s.covers(f, rule) {
				s.dead[rule] = true
				s.warnAt(rule.Pos, rule.shown(), "opens nothing: "+f.named("forbid")+" forbids all of it")
			}
		}
	}
}

// spent tells whether looking on is of no use: it took long, or nobody would be told.
func (s *shadows) spent() bool { return s.steps > maxShadowSteps || len(s.warns) >= maxErrors }

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

// covers tells whether everything that a rule opens is surely forbidden, or open by the
// other. Who asks comes last: a group may be large, and ports differ soon.
func (s *shadows) covers(other, rule *Rule) bool {
	by := s.sidesOf(other)
	if len(rule.Src) == 0 || len(rule.Parts) == 0 {
		return false
	}
	for _, part := range rule.Parts {
		covered := false
		for i := 0; i < len(other.Parts) && !covered; i++ {
			covered = s.coversPart(&other.Parts[i], by.dst[i], &part)
		}
		if !covered {
			return false
		}
	}
	return s.picksAll(by.src, rule.Src) || s.picksDevices(by.src, rule)
}

func (s *shadows) coversPart(other *Part, to *side, part *Part) bool {
	switch {
	case len(part.App) > 0 || !s.opens(other.Open, part.Open):
		return false
	case part.Self || part.Internet:
		return other.Self == part.Self && other.Internet == part.Internet
	}
	return s.picksAll(to, part.Dst)
}

// picksDevices tells whether a side surely picks all shared devices that a rule is for: who
// sits there is what they are, too.
func (s *shadows) picksDevices(by *side, rule *Rule) bool {
	left := func(tag string) bool { return !by.picks(Selector{Kind: Tag, Name: tag}, &s.steps) }
	return len(rule.Devices) > 0 && !slices.ContainsFunc(rule.Devices, left)
}

func (s *shadows) picksAll(by *side, all []Selector) bool {
	return !slices.ContainsFunc(all, func(x Selector) bool { return !by.picks(x, &s.steps) })
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
