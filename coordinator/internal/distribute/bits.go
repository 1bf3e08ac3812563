package distribute

import (
	"slices"
)

// bits hands out places in the streams' sets of peers, as small as can be: a
// mesh of 10,000 nodes of which many come and go still needs 1.2 KB a stream.
type bits struct {
	next int
	free []int
	gone []*subject // removed, but a stream may remember them
}

func (b *bits) take() int {
	if last := len(b.free) - 1; last >= 0 {
		bit := b.free[last]
		b.free = b.free[:last]
		return bit
	}
	b.next++
	return b.next - 1
}

// sweep frees the bits of removed nodes that no stream remembers.
func (h *Hub) sweep() {
	h.bits.gone = slices.DeleteFunc(h.bits.gone, func(g *subject) bool {
		for _, s := range h.streams {
			if s.held.has(g.bit) || s.peers.has(g) || s.hints.has(g) {
				return false
			}
		}
		h.bits.free = append(h.bits.free, g.bit)
		return true
	})
}
