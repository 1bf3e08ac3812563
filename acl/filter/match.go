package filter

import (
	"math/bits"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// decision is what the rules say about a flow.
type decision struct {
	reason acl.Reason
	rule   int32 // index in Table.rules, or noRule
	end    int64 // time since boot at which to ask again; of a refusal, at which a rule begins to forbid, or a limit gives again
	ends   ends  // where the flow's addresses were found, if the rules were asked
}

const noRule = -1

// permits reports whether the flow may begin, or go on.
func (dec *decision) permits() bool { return permits(dec.reason) }

func permits(why acl.Reason) bool { return why == acl.Permitted || why == acl.Monitored }

// decide judges a flow that would begin now.
func (t *Table) decide(d Direction, src, dst packet.Addr, w wish, known *past, m *Moment) decision {
	e, why := t.locate(d, src, dst)
	if why == acl.Permitted && e.dst.seat != nobodys {
		why = acl.SeatCalled
	}
	if why != acl.Permitted {
		return decision{why, noRule, 0, e}
	}
	return t.match(d, e, w, known, m)
}

// match asks the rules of one direction: first those that forbid. Of those that
// permit, the first that matches and holds decides, one that only monitors after
// all others; if none does, the first that matches but does not hold now gives the
// reason, since it is what a user can do something about.
func (t *Table) match(d Direction, e ends, w wish, known *past, m *Moment) decision {
	best := decision{acl.NoRule, noRule, forever, e}
	if t.forbids[d&1].speaksOf(d, &e) {
		if best.rule, best.end = t.forbidden(d, &e, w, m); best.rule != noRule {
			best.reason = acl.Forbidden
			return best
		}
	}
	s := &t.sides[d&1]
	if s.words == 0 {
		return best
	}
	begins := best.end
	c := s.candidates(d, &e, w)
	for n := t.next(&c, s, &e, w); n != noRule; n = t.next(&c, s, &e, w) {
		r := &t.rules[n]
		reason, end := t.holds(r, e.src, known.lease, m)
		again := begins
		if reason == acl.Permitted && r.limit.window != 0 {
			reason, again = known.allows(r, e.src, m)
		}
		switch {
		case reason == acl.Permitted && !r.monitor:
			return decision{reason, n, min(end, begins), e}
		case best.reason == acl.Monitored:
		case reason == acl.Permitted:
			best = decision{acl.Monitored, n, min(end, begins), e}
		case best.rule == noRule:
			best.reason, best.rule, best.end = reason, n, min(again, begins)
		}
	}
	return best
}

// candidates are the rules of a side that are about a pair of classes and what is
// wished, in their order. It holds places in the side's sets and no pointer.
type candidates struct {
	peers, end uint32 // what is left of the words of the peer's set
	own, ports int    // where the other two sets begin
	words      uint64 // what is left of the word that all three have in common
	first      int    // number of its first rule
}

// speaksOf reports whether any rule of the side has the class at the peer's end.
func (s *side) speaksOf(d Direction, e *ends) bool {
	if s.words == 0 {
		return false
	}
	peer := e.peer(d).index
	return s.peers.from[peer] < s.peers.from[peer+1]
}

func (s *side) candidates(d Direction, e *ends, w wish) candidates {
	peer, self := e.src.index, e.dst.index
	if d == Out {
		peer, self = self, peer
	}
	c := candidates{peers: s.peers.from[peer], end: s.peers.from[peer+1]}
	if c.peers < c.end {
		c.own, c.ports = s.own.at(self, s.words), s.ports.at(w)
	}
	return c
}

// next gives the index of the next rule that is about a flow, or noRule.
func (t *Table) next(c *candidates, s *side, e *ends, w wish) int32 {
	for {
		for c.words == 0 {
			if c.peers == c.end {
				return noRule
			}
			set := &s.peers.all[c.peers]
			at := int(set.at)
			c.words, c.first = set.bits&s.own.bits[c.own+at]&s.ports.bits[c.ports+at], s.first+at*64
			c.peers++
		}
		n := c.first + bits.TrailingZeros64(c.words)
		c.words &= c.words - 1
		if t.about(s, n, w) && (!t.rules[n].sameOwner || t.sameOwner(e)) {
			return int32(n)
		}
	}
}

// about reports whether rule n of a side is about what is wished.
func (t *Table) about(s *side, n int, w wish) bool {
	if s.forbids {
		return t.services.names(n, w)
	}
	return t.services.open(n, w)
}

// sameOwner reports whether both ends are prefixes of one person.
func (t *Table) sameOwner(e *ends) bool {
	owner := t.holders[e.src.holder].owner
	return owner != 0 && owner == t.holders[e.dst.holder].owner
}

// opening finds the rules inwards that open anything to anybody here.
func (t *Table) opening() []uint64 {
	s := &t.sides[In]
	opened := make([]uint64, s.words)
	for i := range t.homes {
		h := &t.homes[i]
		if h.holder != self && !t.fronted(h.holder) || h.seat != nobodys {
			continue
		}
		for at, set := range s.own.set(h.index, s.words) {
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
func (t *Table) holds(r *rule, from *home, lease int64, m *Moment) (acl.Reason, int64) {
	human := r.needs != 0
	now, end := m.clock(human), r.notAfter
	if now == never && (human || end != forever) {
		return acl.OutsideTime, 0 // nobody knows the time: nothing that ends may begin
	}
	if human {
		until := t.met(r, from)
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
	return acl.Permitted, m.since(end, now)
}
