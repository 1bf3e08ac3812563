package filter

import (
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// rule is an acl.Rule, compiled. Its classes are in a side, its services in services.
type rule struct {
	id                  acl.RuleID
	needs               uint32 // number of the set of facts; 0: none
	notBefore, notAfter int64
	hold, drain         int64
	limit               limit
	hash                uint64 // of the id and of what the limit counts, by which a meter knows it; 0: there is no limit
	tag                 uint32 // of the id, by which a flow knows its rule in any table
	sameOwner           bool
	monitor             bool
	flows               bool // the starts and ends of flows are recorded
	silent              bool // nothing is
}

// side is the rules of one direction. For each class it knows, as bits, the
// rules that have the class at the peer's end, or at ours: the two sets of a pair
// of classes have in common what rules there are for the pair.
//
// A thousand rules are 16 words, most of which are empty for any one class. A
// node has few classes and may have thousands of peers, so its own sets are
// whole, and those of its peers hold only the words that are not empty.
type side struct {
	first   int  // index of the side's first rule in Table.rules
	words   int  // of a whole set; 0: there are no rules
	forbids bool // the rules forbid; else they permit
	own     sets
	peers   sparse
	ports   ports
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

// side compiles the rules of one direction that permit, or those that forbid. One
// that permits is absent to a filter that lacks a feature of it; of one that forbids
// what cannot be judged is taken to hold.
func (b *compiler) side(s *side, d Direction, rules []acl.Rule, features []string) error {
	t := b.table
	s.first = len(t.rules)
	s.words = (len(rules) + 63) / 64
	s.own, s.ports = newSets(len(b.classes), s.words), newPorts(s.words)
	peers := make([][]word, len(b.classes))
	t.rules = slices.Grow(t.rules, len(rules))
	n := 0
	for i := range rules {
		r := &rules[i]
		if !s.forbids && lacks(r.Features, features) {
			continue
		}
		compiled, err := b.rule(r, s.forbids)
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

// lacks reports whether a needed feature is neither the filter's own nor among
// those at hand.
func lacks(needed, have []string) bool {
	for _, f := range needed {
		if f != acl.FeatureForbid && !slices.Contains(have, f) {
			return true
		}
	}
	return false
}

func (b *compiler) rule(r *acl.Rule, forbids bool) (rule, error) {
	out := rule{
		id: r.ID, tag: tagOf(r.ID), sameOwner: r.SameOwner, monitor: r.Monitor,
		flows: r.Log.Flows() || r.Monitor, silent: r.Log == acl.LogOff,
		notBefore: never, notAfter: forever, hold: int64(r.Hold), drain: int64(r.Drain),
	}
	for _, s := range r.Open {
		if s.First > s.Last {
			return out, fmt.Errorf("ports %d to %d are not a range", s.First, s.Last)
		}
	}
	if slices.Contains(r.Src, 0) || slices.Contains(r.Dst, 0) {
		return out, fmt.Errorf("class 0 can be in no rule")
	}
	if r.Hold < 0 || r.Drain < 0 {
		return out, fmt.Errorf("hold %s or drain %s is negative", r.Hold, r.Drain)
	}
	if !forbids {
		if !r.Limit.Valid() {
			return out, fmt.Errorf("a limit of %d bytes and %d flows in %s that leads to %s is none", r.Limit.Bytes, r.Limit.Flows, r.Limit.Window, r.Limit.OnExceed)
		}
		if r.Limit != (acl.Limit{}) {
			out.limit, out.hash = limitOf(r.Limit), hashOf(fmt.Sprint(r.Limit.Flows > 0, " ", r.ID))
		}
	}
	if !r.NotBefore.IsZero() {
		out.notBefore = nanos(r.NotBefore)
	}
	if !r.NotAfter.IsZero() {
		out.notAfter = nanos(r.NotAfter)
	}
	facts := make([]uint32, 0, len(r.Needs))
	for _, f := range r.Needs {
		facts = append(facts, b.fact(f))
	}
	out.needs = b.number(facts)
	return out, nil
}

// tagOf gives a hash of a rule's id, never 0. A flow has room for no more of it.
func tagOf(id acl.RuleID) uint32 {
	h := fnv.New32a()
	h.Write([]byte(id))
	return max(1, h.Sum32())
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

// at gives where the set of a class begins.
func (s *sets) at(class uint32, words int) int { return int(s.of[class]) * words }

func (s *sets) set(class uint32, words int) []uint64 { return s.bits[s.at(class, words):][:words] }

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
