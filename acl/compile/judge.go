package compile

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// judgement is what becomes of a flow. Without a part, no rule has anything to
// say of it.
type judgement struct {
	allow  bool
	part   *part // that permits or forbids it
	ground *ground
}

// judge judges a flow in the order in which a filter does: what is forbidden,
// what is permitted, what is only monitored.
func (m *Mesh) judge(from, to place, f flow) judgement {
	if from.class == nil || to.class == nil {
		return judgement{}
	}
	var permitted, monitored judgement
	both := meeting(from.class.asSrc, to.class.asDst)
	for at, ok := both.next(); ok; at, ok = both.next() {
		switch p := m.book.parts[at]; {
		case p.forbid:
			if f.namedBy(p.open) && m.concerns(p, from, to) {
				if g := m.stands(p, from, to, false); g != nil {
					return judgement{false, p, g}
				}
			}
		case permitted.allow || !f.openedBy(p.open) || !m.concerns(p, from, to):
		default:
			if g := m.stands(p, from, to, false); g != nil {
				permitted = judgement{true, p, g}
			} else if g := m.stands(p, from, to, true); g != nil && !monitored.allow {
				monitored = judgement{true, p, g}
			}
		}
	}
	if permitted.allow {
		return permitted
	}
	return monitored
}

// concerns tells whether a part whose classes match is about two places.
func (m *Mesh) concerns(p *part, from, to place) bool {
	return (!p.self || from.owner != 0 && from.owner == to.owner) && m.lands(p, to)
}

// stands gives the first ground of a part that is met now, or nil.
func (m *Mesh) stands(p *part, from, to place, monitored bool) *ground {
	grounds := m.groundsBetween(p, from, to)
	for i := range grounds {
		if g := &grounds[i]; g.monitor == monitored && m.met(g, from) {
			return g
		}
	}
	return nil
}

// lands tells whether a part whose classes match a place is for who answers there.
func (m *Mesh) lands(p *part, to place) bool {
	answering := to.routers
	if to.host != nil {
		answering = []*node{to.host}
	}
	return len(answering) == 0 || slices.ContainsFunc(answering, func(n *node) bool { return n.profile.lands(p) })
}

func (m *Mesh) groundsBetween(p *part, from, to place) []ground {
	return m.groundsOf(p, p.between(from.class, to.class.zone))
}

// between gives on what a part's grounds from a class into segments depend.
func (p *part) between(from *class, into *zone) groundKey {
	return p.cut.key(from).to(into)
}

// met tells whether a ground holds now for who is at a place. One that asks for what
// no filter can do is met where something is supposed alone: nodes take its rule as absent.
func (m *Mesh) met(g *ground, from place) bool {
	return (len(g.features) == 0 || m.supposing) && m.timely(g) && !slices.ContainsFunc(g.needs, func(f acl.Fact) bool { return !m.known(f, from) })
}

// known tells whether a fact holds now of who is at a place.
func (m *Mesh) known(f acl.Fact, from place) bool {
	holding := func(e acl.FactEnd) bool { return e.Fact == f && !m.now.IsZero() && m.now.Before(e.Until) }
	if i, ok := slices.BinarySearchFunc(m.supposed, f, func(e acl.FactEnd, f acl.Fact) int { return cmp.Compare(e.Fact, f) }); ok && holding(m.supposed[i]) {
		return true
	}
	for e := range from.facts() {
		if holding(e) {
			return true
		}
	}
	return false
}

// facts yields what is known of who is at a place. What is behind a gateway has the
// facts of that: of the one who carries it, whose packets these are.
func (p place) facts() iter.Seq[acl.FactEnd] {
	switch {
	case p.seat != nil:
		return slices.Values(p.seat.Facts)
	case p.host != nil:
		return slices.Values(p.host.record.facts)
	}
	return func(yield func(acl.FactEnd) bool) {
		for _, n := range p.carriers {
			for _, e := range n.record.facts {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// missing says what a part asks for that is not so now.
func (m *Mesh) missing(p *part, from, to place) string {
	var ways []string
	grounds := m.groundsBetween(p, from, to)
	for i := range grounds {
		var lacks []string
		for _, f := range grounds[i].needs {
			if !m.known(f, from) {
				lacks = append(lacks, m.factText(f))
			}
		}
		if !m.timely(&grounds[i]) {
			lacks = append(lacks, m.shut(&grounds[i]))
		}
		if len(grounds[i].features) > 0 && !m.supposing {
			lacks = append(lacks, "what no node can do yet ("+strings.Join(grounds[i].features, ", ")+")")
		}
		ways = append(ways, strings.Join(lacks, " and "))
	}
	if len(ways) == 0 {
		return p.dormant(to)
	}
	return "it asks for " + strings.Join(ways, ", or ")
}

// dormant says what a part waits for that stands on no ground.
func (p *part) dormant(to place) string {
	if p.rule.Level != "" {
		return fmt.Sprintf("the lockdown %q is not declared", p.rule.Level)
	}
	for _, s := range to.class.zone.list() {
		if s.Monitor.IsZero() {
			return fmt.Sprintf("%s, in which this is too, is not only monitored", s.Name)
		}
	}
	return "it is not in force"
}

// shut says when a ground that is not open now will be.
func (m *Mesh) shut(g *ground) string {
	if !g.until.IsZero() && !m.now.Before(g.until) {
		return fmt.Sprintf("a time before %s", g.until.UTC().Format("2006-01-02 15:04 MST"))
	}
	var all []string
	for _, name := range g.schedules {
		s, _ := m.pol.Schedule(name)
		open, next := s.Weekly.At(m.now)
		if open {
			continue
		}
		text := fmt.Sprintf("a time within the schedule %s (%s)", name, s.Weekly)
		if !next.IsZero() {
			text += next.UTC().Format(", which opens at 2006-01-02 15:04 MST")
		}
		all = append(all, text)
	}
	return strings.Join(all, " and ")
}
