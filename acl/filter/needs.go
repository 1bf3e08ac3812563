package filter

import (
	"fmt"
	"slices"
)

// needs is what rules ask of whoever begins a flow: each set of facts that any rule
// needs, once, and until when each party has all of it. A flow that begins looks up
// one number in place of every fact of its rule among every fact of its person.
//
// Only the first few sets are worked out for every party: one cache line each, so
// that no policy makes a table grow by parties times sets. The rest are looked for
// when a flow begins.
type needs struct {
	sets  [][]uint32 // by number: the facts; set 0 is empty
	until []int64    // by row of a party, for each of the first sets: policy time
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

// ahead works out until when each party has what rules need. Who has none of it,
// such as a machine, shares row 0.
func (b *compiler) ahead() {
	t := b.table
	none := slices.Repeat([]int64{never}, aheadSets)
	t.needs.until = slices.Clone(none)
	rows := make([]uint32, len(t.holders))
	for i := range t.holders {
		row := slices.Clone(none)
		for n := 1; n < min(len(t.needs.sets), aheadSets+1); n++ {
			row[n-1] = t.holders[i].all(t.needs.sets[n])
		}
		if !slices.Equal(row, none) {
			rows[i] = uint32(len(t.needs.until) / aheadSets)
			t.needs.until = append(t.needs.until, row...)
		}
	}
	for i := range t.homes {
		if h := &t.homes[i]; h.holder >= self {
			h.row = rows[h.holder]
		}
	}
}

// met gives the policy time until which who is at a home has all that a rule needs,
// which is something; never if a fact of it is lacking.
func (t *Table) met(r *rule, at *home) int64 {
	if r.needs <= aheadSets {
		return t.needs.until[at.row*aheadSets+r.needs-1]
	}
	return t.holders[at.holder].all(t.needs.sets[r.needs])
}

// all gives the policy time until which the holder has all of some facts.
func (h *holder) all(facts []uint32) int64 {
	end := int64(forever)
	for _, f := range facts {
		end = min(end, h.until(f))
	}
	return end
}
