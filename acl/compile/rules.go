package compile

import (
	"iter"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/calendar"
)

// Set is what a node enforces. It holds the classes of each rule, and shares with other
// sets all that they say alike: so it is soon made, where a change reaches thousands of
// nodes. It is never changed, and nodes with the same classes have the same one.
type Set struct{ in, out *direction }

// direction is a profile's rules of one way.
type direction struct {
	permits, forbids []rule
	full             *full // nil until somebody asks
}

// rule is the rules of a line of a sheet, with the classes that were at its other side.
type rule struct {
	*line
	far *side
}

// full is a direction with each rule in full.
type full struct{ permits, forbids []acl.Rule }

// Set gives what a node enforces. That of an unknown node permits nothing.
func (m *Mesh) Set(id string) *Set {
	n, ok := m.nodes[id]
	if !ok {
		return new(Set)
	}
	return m.setOf(n.profile)
}

// setOf gives a profile's set, compiled at the first call.
//
// The node's side of a rule is narrowed to its own classes; the other holds all
// that exist, so that a rule does not change when a node of a known class comes.
func (m *Mesh) setOf(p *profile) *Set {
	if p.set == nil {
		p.set = &Set{m.direction(p, inward), m.direction(p, outbound)}
	}
	return p.set
}

func (m *Mesh) direction(p *profile, w way) *direction {
	if p.rules[w] == nil {
		p.rules[w] = m.sheetOf(p, w).filled()
	}
	return p.rules[w]
}

// Rules gives the set's rules in full, made at each call.
func (s *Set) Rules() acl.RuleSet {
	in, out := s.in.write(inward), s.out.write(outbound)
	return acl.RuleSet{In: in.permits, Out: out.permits, ForbidIn: in.forbids, ForbidOut: out.forbids}
}

func (d *direction) write(w way) *full {
	if d == nil {
		return new(full)
	}
	return &full{inFull(d.permits, w), inFull(d.forbids, w)}
}

func inFull(rules []rule, w way) (all []acl.Rule) {
	size := 0
	for _, r := range rules {
		size += len(r.terms.windows)
	}
	all = slices.Grow(all, size)
	for _, r := range rules {
		one := r.terms.rule
		if one.Src, one.Dst = r.own, slices.Clip(r.far.nums); w == inward {
			one.Src, one.Dst = one.Dst, one.Src
		}
		for _, during := range r.terms.windows {
			one.NotBefore, one.NotAfter = during.From, during.Until
			all = append(all, one)
		}
	}
	return all
}

// Rules gives what a node enforces in full. Nodes with the same classes get the same
// slices. The set of an unknown node permits nothing.
func (m *Mesh) Rules(id string) acl.RuleSet {
	in, out := m.fullOf(id, inward), m.fullOf(id, outbound)
	return acl.RuleSet{In: in.permits, Out: out.permits, ForbidIn: in.forbids, ForbidOut: out.forbids}
}

// Inwards is Rules without those about what the node begins itself.
func (m *Mesh) Inwards(id string) acl.RuleSet {
	in := m.fullOf(id, inward)
	return acl.RuleSet{In: in.permits, ForbidIn: in.forbids}
}

func (m *Mesh) fullOf(id string, w way) *full {
	n, ok := m.nodes[id]
	if !ok {
		return new(full)
	}
	d := m.direction(n.profile, w)
	if d.full == nil {
		d.full = d.write(w)
	}
	return d.full
}

// Inward is what a node enforces of what comes in, as rules that share all but their classes
// with those of others. Nodes with the same classes have the same one.
type Inward direction

// Shared is an [acl.Rule] for each window of a schedule: its terms, which have neither
// classes nor a time, and those.
type Shared struct {
	Terms    *acl.Rule
	Windows  []calendar.Window
	Src, Dst []acl.Class
}

// Inward gives what a node enforces of what comes in. That of an unknown node permits
// nothing.
func (m *Mesh) Inward(id string) *Inward {
	n, ok := m.nodes[id]
	if !ok {
		return new(Inward)
	}
	return (*Inward)(m.direction(n.profile, inward))
}

// Permits and Forbids yield the rules that permit, and those that forbid, as [Mesh.Rules]
// gives them in full.
func (in *Inward) Permits() iter.Seq[Shared] { return inTwo(in.permits) }
func (in *Inward) Forbids() iter.Seq[Shared] { return inTwo(in.forbids) }

func inTwo(rules []rule) iter.Seq[Shared] {
	return func(yield func(Shared) bool) {
		for _, r := range rules {
			if !yield(Shared{&r.terms.rule, r.terms.windows, r.far.nums, r.own}) {
				return
			}
		}
	}
}

// equal tells whether two sets are the same to a filter.
func (s *Set) equal(o *Set) bool { return s == o || s.in.equal(o.in) && s.out.equal(o.out) }

func (d *direction) equal(o *direction) bool {
	return d == o || slices.EqualFunc(d.permits, o.permits, equalRule) && slices.EqualFunc(d.forbids, o.forbids, equalRule)
}

func equalRule(a, b rule) bool {
	return slices.Equal(a.own, b.own) && slices.Equal(a.far.nums, b.far.nums) && (a.terms == b.terms || equalTerms(a.terms, b.terms))
}

func equalTerms(one, other *timed) bool {
	a, b := &one.rule, &other.rule
	return slices.EqualFunc(one.windows, other.windows, equalWindow) && a.ID == b.ID && a.SameOwner == b.SameOwner && slices.Equal(a.Open, b.Open) && slices.Equal(a.Needs, b.Needs) &&
		a.Hold == b.Hold && a.Drain == b.Drain &&
		a.Monitor == b.Monitor && a.Log == b.Log && a.Limit == b.Limit && slices.Equal(a.Features, b.Features)
}

func equalWindow(a, b calendar.Window) bool { return a.From.Equal(b.From) && a.Until.Equal(b.Until) }
