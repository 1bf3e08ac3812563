package filter

import (
	"fmt"
	"slices"
)

// needs is what rules ask of whoever begins a flow: each set of facts that any rule
// needs, once, and until when each party and each seat has all of it. A flow that
// begins looks up one number in place of every fact of its rule among every fact of
// its person.
//
// The first few sets stand in the home itself, which a flow that begins has read
// anyway; the next few in one cache line for each party. So no policy makes a table
// grow by parties times sets: the rest are looked for when a flow begins.
type needs struct {
	sets  [][]uint32 // by number: the facts; set 0 is empty
	until []int64    // by row of a party or seat, for each of the sets after the near ones: policy time
}

const (
	nearSets  = 3 // besides the empty one
	aheadSets = 8 // besides those
)

// number gives the number of a set of facts.
func (b *compiler) number(facts []uint32) uint32 {
	if len(facts) == 0 {
		return 0
	}
	slices.Sort(facts)
	facts = slices.Compact(facts)
	name := fmt.Sprint(facts)
	n, ok := b.sets[name]
	if !ok {
		n = uint32(len(b.table.needs.sets))
		b.sets[name] = n
		b.table.needs.sets = append(b.table.needs.sets, facts)
	}
	return n
}

// ahead works out until when each party and each seat has what rules need. Who has none of it,
// such as a machine, shares row 0.
func (b *compiler) ahead() {
	t := b.table
	t.needs.until = nobodyAhead()
	holders, seats := make([]uint32, len(t.holders)), make([]uint32, len(t.seats))
	for i := range t.holders {
		holders[i] = t.needs.row(t.holders[i].facts)
	}
	for i := range t.seats {
		seats[i] = t.needs.row(t.seats[i].facts)
	}
	for i := range t.homes {
		h := &t.homes[i]
		if h.holder < self {
			continue
		}
		h.row = holders[h.holder]
		if h.seat != nobodys {
			h.row = seats[h.seat-1]
		}
		t.needs.some(h.until[:], 1, t.facts(h))
	}
}

// nobodyAhead is the row of who has none of what is not near.
func nobodyAhead() []int64 { return slices.Repeat([]int64{never}, aheadSets) }

// row works out until when facts give what is not near, and says where that is.
func (n *needs) row(of facts) uint32 {
	var row [aheadSets]int64
	if !n.some(row[:], 1+nearSets, of) {
		return 0
	}
	n.until = append(n.until, row[:]...)
	return uint32(len(n.until)/aheadSets - 1)
}

// some works out until when facts give each of the sets from one on, and tells whether
// they give any.
func (n *needs) some(until []int64, from int, of facts) (any bool) {
	for i := range until {
		until[i] = never
		if from+i < len(n.sets) {
			until[i] = of.all(n.sets[from+i])
		}
		any = any || until[i] != never
	}
	return any
}

// met gives the policy time until which who is at a home has all that a rule needs,
// which is something; never if a fact of it is lacking.
func (t *Table) met(r *rule, at *home) int64 {
	n := r.needs - 1 // without the empty one
	switch {
	case n < nearSets:
		return at.until[n]
	case n < nearSets+aheadSets:
		return t.needs.until[at.row*aheadSets+n-nearSets]
	}
	return t.facts(at).all(t.needs.sets[r.needs])
}
