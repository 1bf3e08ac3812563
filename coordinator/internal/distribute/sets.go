package distribute

import (
	"cmp"
	"slices"
)

// bitset is the set of peers that a node holds: 10,000 nodes take 1.2 KB.
type bitset []uint64

func (b *bitset) set(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) clear(i int) {
	if i/64 < len(b) {
		b[i/64] &^= 1 << (i % 64)
	}
}

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }

// owed is a set of nodes about which a stream owes something. Adding is cheap;
// what is twice in the list is dropped when the list doubled, so that a slow
// reader's debt is bounded by the mesh, however often a node changes meanwhile.
type owed struct {
	list []debt
	tidy int // length at which to look for what is twice
}

// debt is one node of such a set.
type debt struct {
	*subject
	from uint64 // the version of its record that the stream had when it began to owe; 0: not known
}

// add has a debt begin, or go on since when it began.
func (o *owed) add(s *subject, from uint64) {
	o.list = append(o.list, debt{s, from})
	if len(o.list) > max(o.tidy, 64) {
		o.compact()
		o.tidy = 2 * len(o.list)
	}
}

func (o *owed) compact() {
	if len(o.list) > 1 {
		slices.SortFunc(o.list, func(a, b debt) int { return cmp.Or(cmp.Compare(a.bit, b.bit), cmp.Compare(a.from, b.from)) })
		o.list = slices.CompactFunc(o.list, func(a, b debt) bool { return a.subject == b.subject }) // keeps the first
	}
}

// take gives the set, in a fixed order, and empties it. What it gives is valid
// until the next add.
func (o *owed) take() []debt {
	o.compact()
	list := o.list
	o.tidy = 0
	if cap(list) > 128 { // the memory of a rare flood is not kept
		o.list = nil
	} else {
		o.list = list[:0]
	}
	return list
}

func (o *owed) some() bool { return len(o.list) > 0 }

func (o *owed) has(s *subject) bool {
	return slices.ContainsFunc(o.list, func(d debt) bool { return d.subject == s })
}
