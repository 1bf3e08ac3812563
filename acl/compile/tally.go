package compile

import (
	"iter"
	"math/bits"
)

// tally finds each class of a profile its place behind the part that it matches. The parts
// of a gateway's hundreds of classes are thousands: to sort them takes far longer.
type tally struct {
	of   []int32  // part -> how many classes match it; then, where the next of them goes
	some []uint64 // a bit for each part that any matches
	size int32
	used int32
}

// newTally gives an empty tally. It is valid until the next call.
func (m *Mesh) newTally() *tally {
	t := &m.pad.tally
	if t.of == nil {
		t.of, t.some = make([]int32, len(m.book.parts)), make([]uint64, len(m.book.parts)/64+1)
	}
	for at := range t.parts() {
		t.of[at] = 0
	}
	clear(t.some)
	t.size, t.used = 0, 0
	return t
}

func (t *tally) count(parts []int32) {
	for _, at := range parts {
		t.of[at]++
		t.some[at/64] |= 1 << (at % 64)
	}
	t.size += int32(len(parts))
}

// parts yields the parts that any class matches, ascending.
func (t *tally) parts() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i, left := range t.some {
			for ; left != 0; left &= left - 1 {
				if !yield(int32(64*i + bits.TrailingZeros64(left))) {
					return
				}
			}
		}
	}
}

// room gives the places of a part's classes. It is asked for each part once.
func (t *tally) room(part int32) (from, to int32) {
	from, to = t.used, t.used+t.of[part]
	t.of[part], t.used = from, to
	return from, to
}

// next gives the next place of a part.
func (t *tally) next(part int32) int32 {
	place := t.of[part]
	t.of[part]++
	return place
}
