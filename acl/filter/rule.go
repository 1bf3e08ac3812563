package filter

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// rule is an acl.Rule, compiled. Its classes are in a side, its services in services.
type rule struct {
	id                  acl.RuleID
	needs               []uint32
	notBefore, notAfter int64
	hold                int64
	sameOwner           bool
	log                 acl.LogLevel
}

// side is the rules of one direction. For each class it knows, as bits, the
// rules that have the class at the peer's end, or at ours: the two sets of a pair
// of classes have in common what rules there are for the pair.
//
// A thousand rules are 16 words, most of which are empty for any one class. A
// node has few classes and may have thousands of peers, so its own sets are
// whole, and those of its peers hold only the words that are not empty.
type side struct {
	first int // index of the side's first rule in Table.rules
	words int // of a whole set
	own   sets
	peers sparse
	ports ports
}

// sets holds a whole set of rules for each class that is in any, one after
// another. Set 0 is empty and stands for all classes that are in none.
type sets struct {
	of   []uint32 // by class index
	bits []uint64
}

// sparse holds the words of each class's set that are not empty.
type sparse struct {
	from []uint32 // by class index: its first word; it ends where the next one's begin
	all  []word
}

// word is 64 rules of a set: from number 64*at on, counted from the side's first.
type word struct {
	at   uint32
	bits uint64
}

// side compiles the rules of one direction.
func (b *compiler) side(d Direction, rules []acl.Rule, features []string) error {
	t := b.table
	s := &t.sides[d&1]
	s.first = len(t.rules)
	s.words = (len(rules) + 63) / 64
	s.own, s.ports = newSets(len(b.classes), s.words), newPorts(s.words)
	peers := make([][]word, len(b.classes))
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
		t.services.add(r.Open)
		s.ports.add(n, r.Open)
		own, peer := r.Dst, r.Src
		if d == Out {
			own, peer = peer, own
		}
		b.enter(&s.own, own, s.words, n)
		b.scatter(peers, peer, n)
		n++
	}
	s.peers = pack(peers)
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
		id: r.ID, sameOwner: r.SameOwner, log: r.Log,
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

// scatter is enter for the sets of peers. Rules come in their order.
func (b *compiler) scatter(sets [][]word, classes []acl.Class, n int) {
	for _, c := range classes {
		index, ok := b.classes[c]
		if !ok {
			continue
		}
		at, set := uint32(n/64), sets[index]
		if len(set) == 0 || set[len(set)-1].at != at {
			set = append(set, word{at: at})
		}
		set[len(set)-1].bits |= 1 << (n % 64)
		sets[index] = set
	}
}

func pack(sets [][]word) sparse {
	s := sparse{from: make([]uint32, 0, len(sets)+1)}
	for _, set := range sets {
		s.from = append(s.from, uint32(len(s.all)))
		s.all = append(s.all, set...)
	}
	s.from = append(s.from, uint32(len(s.all)))
	return s
}

func (s *sparse) set(class uint32) []word { return s.all[s.from[class]:s.from[class+1]] }

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
	peer, self := e.src, e.dst
	if d == Out {
		peer, self = self, peer
	}
	own, ports := s.own.set(self.index, s.words), s.ports.set(w)
	for _, set := range s.peers.set(peer.index) {
		first := s.first + int(set.at)*64
		for common := set.bits & own[set.at] & ports[set.at]; common != 0; common &= common - 1 {
			n := first + bits.TrailingZeros64(common)
			if !t.services.open(n, w) {
				continue
			}
			r, from := &t.rules[n], &t.holders[e.src.holder]
			if r.sameOwner && (from.owner == 0 || from.owner != t.holders[e.dst.holder].owner) {
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

// opening finds the rules inwards that open anything to anybody here.
func (t *Table) opening() []uint64 {
	s := &t.sides[In]
	opened := make([]uint64, s.words)
	for i := range t.homes {
		if h := t.homes[i].holder; h != self && !t.fronted(h) {
			continue
		}
		for at, set := range s.own.set(t.homes[i].index, s.words) {
			opened[at] |= set
		}
	}
	return opened
}

// maySpeak reports whether any rule lets what is at a peer's home begin a flow to
// this node, be it to another port, at another time or with another login.
func (t *Table) maySpeak(src *home) bool {
	s := &t.sides[In]
	from := t.holders[src.holder].owner
	for _, set := range s.peers.set(src.index) {
		for common := set.bits & t.opened[set.at]; common != 0; common &= common - 1 {
			n := s.first + int(set.at)*64 + bits.TrailingZeros64(common)
			same := from != 0 && from == t.holders[self].owner
			if t.services.any(n) && (same || !t.rules[n].sameOwner) {
				return true
			}
		}
	}
	return false
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
