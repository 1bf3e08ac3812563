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
// Only the first few sets are worked out for every party: one cache line each, so
// that no policy makes a table grow by parties times sets. The rest are looked for
// when a flow begins.
type needs struct {
	sets  [][]uint32 // by number: the facts; set 0 is empty
	until []int64    // by row of a party or seat, for each of the first sets: policy time
}

const aheadSets = 8 // besides the empty one

// number gives the number of a set of facts.
func (b *compiler) number(facts []uint32) uint32 {
	facts = slices.Compact(slices.Sorted(slices.Values(facts)))
	if len(facts) == 0 {
		return 0
	}
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
	t.needs.until = slices.Repeat([]int64{never}, aheadSets)
	rows := make([]uint32, len(t.holders))
	for i := range t.holders {
		rows[i] = t.needs.row(t.holders[i].facts)
	}
	for i := range t.seats {
		t.seats[i].row = t.needs.row(t.seats[i].facts)
	}
	for i := range t.homes {
		switch h := &t.homes[i]; {
		case h.holder < self:
		case h.seat != nobodys:
			h.row = t.seats[h.seat-1].row
		default:
			h.row = rows[h.holder]
		}
	}
}

// row works out until when facts give what rules need, and says where that is.
func (n *needs) row(of facts) uint32 {
	var row [aheadSets]int64
	none := true
	for i := range row {
		row[i] = never
		if i+1 < len(n.sets) {
			row[i] = of.all(n.sets[i+1])
		}
		none = none && row[i] == never
	}
	if none {
		return 0
	}
	n.until = append(n.until, row[:]...)
	return uint32(len(n.until)/aheadSets - 1)
}

// met gives the policy time until which who is at a home has all that a rule needs,
// which is something; never if a fact of it is lacking.
func (t *Table) met(r *rule, at *home) int64 {
	if r.needs <= aheadSets {
		return t.needs.until[at.row*aheadSets+r.needs-1]
	}
	return t.facts(at).all(t.needs.sets[r.needs])
}
