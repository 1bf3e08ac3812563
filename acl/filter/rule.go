package filter

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// rule is an acl.Rule, compiled.
type rule struct {
	id                  acl.RuleID
	open                []acl.Service
	needs               []uint32
	notBefore, notAfter int64
	hold                int64
	sameOwner           bool
	log                 acl.LogLevel
}

// side is the rules of one direction. For each class it knows, as bits, the
// rules that have the class as their source, or as their destination: the two
// sets of a pair of classes have in common what rules there are for the pair.
// A thousand rules are 16 words.
type side struct {
	first    int // index of the side's first rule in Table.rules
	words    int // of a set
	src, dst sets
}

// sets holds a set of rules for each class that is in any, one after another.
// Set 0 is empty and stands for all classes that are in none.
type sets struct {
	of   []uint32 // by class index
	bits []uint64
}

// side compiles the rules of one direction.
func (b *compiler) side(s *side, rules []acl.Rule, features []string) error {
	t := b.table
	s.first = len(t.rules)
	s.words = (len(rules) + 63) / 64
	s.src, s.dst = newSets(len(b.classes), s.words), newSets(len(b.classes), s.words)
	n := 0
	for i := range rules {
		r := &rules[i]
		if lacks(r.Features, features) {
			continue
		}
		compiled, err := b.rule(r)
		if err != nil {
			return fmt.Errorf("rule %q: %w", r.ID, err)
		}
		t.rules = append(t.rules, compiled)
		b.enter(&s.src, r.Src, s.words, n)
		b.enter(&s.dst, r.Dst, s.words, n)
		n++
	}
	return nil
}

// lacks reports whether a needed feature is not among those at hand.
func lacks(needed, have []string) bool {
	for _, f := range needed {
		if !slices.Contains(have, f) {
			return true
		}
	}
	return false
}

func (b *compiler) rule(r *acl.Rule) (rule, error) {
	out := rule{
		id: r.ID, open: r.Open, sameOwner: r.SameOwner, log: r.Log,
		notBefore: never, notAfter: forever, hold: int64(r.Hold),
	}
	for _, s := range r.Open {
		if s.First > s.Last {
			return out, fmt.Errorf("ports %d to %d are not a range", s.First, s.Last)
		}
	}
	if slices.Contains(r.Src, 0) || slices.Contains(r.Dst, 0) {
		return out, fmt.Errorf("class 0 can be in no rule")
	}
	if r.Hold < 0 {
		return out, fmt.Errorf("hold %s is negative", r.Hold)
	}
	if !r.NotBefore.IsZero() {
		out.notBefore = nanos(r.NotBefore)
	}
	if !r.NotAfter.IsZero() {
		out.notAfter = nanos(r.NotAfter)
	}
	for _, f := range r.Needs {
		out.needs = append(out.needs, b.fact(f))
	}
	return out, nil
}

func newSets(classes, words int) sets {
	return sets{of: make([]uint32, classes), bits: make([]uint64, words)}
}

// enter puts rule n into the sets of its classes. Classes that no prefix of the
// map is in are not known, and can be of no flow.
func (b *compiler) enter(s *sets, classes []acl.Class, words, n int) {
	for _, c := range classes {
		index, ok := b.classes[c]
		if !ok {
			continue
		}
		if s.of[index] == 0 {
			s.of[index] = uint32(len(s.bits) / words)
			s.bits = append(s.bits, make([]uint64, words)...)
		}
		s.bits[int(s.of[index])*words+n/64] |= 1 << (n % 64)
	}
}

func (s *sets) set(class uint32, words int) []uint64 {
	at := int(s.of[class]) * words
	return s.bits[at : at+words]
}

// wish is what a flow wants opened at its destination.
type wish struct {
	proto acl.Protocol
	port  uint16
	kind  wishKind
}

type wishKind uint8

const (
	wishPort  wishKind = iota // one port of the protocol
	wishWhole                 // the whole range of the protocol: it has no ports
	wishAny                   // any port of any protocol: an echo request
)

func (r *rule) opens(w wish) bool {
	if w.kind == wishAny {
		return len(r.open) > 0
	}
	for _, s := range r.open {
		if s.Protocol != w.proto {
			continue
		}
		whole := s.First == 0 && s.Last == 65535
		if whole || w.kind == wishPort && s.First <= w.port && w.port <= s.Last {
			return true
		}
	}
	return false
}

// decision is what the rules say about a flow.
type decision struct {
	reason acl.Reason
	rule   int32 // index in Table.rules, or noRule
	end    int64 // Permitted: the time since boot at which to ask again
	ends   ends  // where the flow's addresses were found, if the rules were asked
}

const noRule = -1

// decide judges a flow that would begin now.
func (t *Table) decide(d Direction, src, dst packet.Addr, w wish, lease int64, m *Moment) decision {
	e, why := t.locate(d, src, dst)
	if why != acl.Permitted {
		return decision{why, noRule, 0, e}
	}
	return t.match(d, e, w, lease, m)
}

// match asks the rules of one direction. The first rule that matches and holds
// decides; if none does, the first that matches but does not hold now gives the
// reason, since it is what a user can do something about.
func (t *Table) match(d Direction, e ends, w wish, lease int64, m *Moment) decision {
	s := &t.sides[d&1]
	best := decision{acl.NoRule, noRule, 0, e}
	if s.words == 0 {
		return best
	}
	from := &t.holders[e.src.holder]
	to := &t.holders[e.dst.holder]
	dst := s.dst.set(e.dst.index, s.words)
	for i, set := range s.src.set(e.src.index, s.words) {
		for set &= dst[i]; set != 0; set &= set - 1 {
			n := s.first + i*64 + bits.TrailingZeros64(set)
			r := &t.rules[n]
			if r.sameOwner && (from.owner == 0 || from.owner != to.owner) || !r.opens(w) {
				continue
			}
			reason, end := r.holds(from, lease, m)
			if reason == acl.Permitted {
				return decision{reason, int32(n), end, e}
			}
			if best.rule == noRule {
				best.reason, best.rule = reason, int32(n)
			}
		}
	}
	return best
}

// holds reports whether a rule that matches also holds now, and until when by
// the time since boot. The facts are those of the person at the source.
func (r *rule) holds(from *holder, lease int64, m *Moment) (acl.Reason, int64) {
	human := len(r.needs) > 0
	now, end := m.clock(human), r.notAfter
	if now == never && (human || end != forever) {
		return acl.OutsideTime, 0 // nobody knows the time: nothing that ends may begin
	}
	for _, f := range r.needs {
		until := from.until(f)
		if now >= until {
			return acl.FactEnded, 0
		}
		end = min(end, until)
	}
	if now < r.notBefore || now >= r.notAfter {
		return acl.OutsideTime, 0
	}
	if r.hold > 0 {
		until := later(lease, r.hold)
		if now >= until {
			return acl.HoldEnded, 0
		}
		end = min(end, until)
	}
	return acl.Permitted, m.boot(end, human)
}
