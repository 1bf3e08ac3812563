package filter

import (
	"slices"
	"unsafe"
)

// flows is the flow table: entries in chunks that never move, found through
// open addressing with linear probing. Chunks come as they are needed, so a
// node at rest pays for none, and the memory of a flood is bounded by max.
type flows struct {
	seed   seed
	slots  []uint64 // hash in the upper half, entry number + 1 in the lower; 0: empty
	chunks []*[chunkSize]flow
	tokens []*[chunkSize]uint64 // by entry: of the session whose flow it is, if it is seated
	free   []int32              // entries to use again, the last one first; room for all that were used
	used   int32                // entries ever used
	count  int
	max    int
	serial uint32
}

const (
	chunkBits = 9
	chunkSize = 1 << chunkBits
	noFlow    = -1

	firstSlots = 1024
)

// Two cache lines: the compiler refuses a flow of any other size.
const (
	_ = uint(unsafe.Sizeof(flow{}) - 128)
	_ = uint(128 - unsafe.Sizeof(flow{}))
)

func newFlows(s seed, limit int) flows {
	return flows{seed: s, slots: make([]uint64, firstSlots), max: limit}
}

func (t *flows) at(i int32) *flow { return &t.chunks[i>>chunkBits][i&(chunkSize-1)] }

// find gives the entry of the key and its number, or nil.
func (t *flows) find(k *hashed) (*flow, int32) {
	h := k.hash
	mask := uint32(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s == 0 {
			return nil, noFlow
		}
		if uint32(s>>32) == h {
			n := int32(uint32(s)) - 1
			if fl := t.at(n); fl.is(&k.key) {
				return fl, n
			}
		}
	}
}

// add makes an entry for a key that has none. It gives nil if the table is full.
func (t *flows) add(k *hashed) (*flow, int32) {
	if t.count >= t.max {
		return nil, noFlow
	}
	if (t.count+1)*2 > len(t.slots) {
		t.grow()
	}
	n := t.entry()
	t.count++
	t.serial++
	fl := t.at(n) // all zero: remove has left it so
	fl.key, fl.serial = k.key, t.serial
	t.enter(k.hash, n)
	return fl, n
}

// entry gives an entry that no flow has.
func (t *flows) entry() int32 {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		return n
	}
	n := t.used
	t.used++
	if int(n)>>chunkBits == len(t.chunks) {
		t.chunks = append(t.chunks, new([chunkSize]flow))
		t.tokens = append(t.tokens, new([chunkSize]uint64))
		t.free = slices.Grow(t.free, len(t.chunks)*chunkSize) // to remove must not allocate
	}
	return n
}

func (t *flows) enter(h uint32, n int32) {
	mask := uint32(len(t.slots) - 1)
	i := h & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = uint64(h)<<32 | uint64(n+1)
}

func (t *flows) grow() {
	old := t.slots
	t.slots = make([]uint64, 2*len(old))
	for _, s := range old {
		if s != 0 {
			t.enter(uint32(s>>32), int32(uint32(s))-1)
		}
	}
}

// remove forgets entry n, whose key then matches nothing.
func (t *flows) remove(n int32) {
	fl := t.at(n)
	mask, hash := uint32(len(t.slots)-1), t.seed.hash(&fl.key)
	i := hash & mask
	for t.slots[i] != uint64(hash)<<32|uint64(n+1) {
		i = (i + 1) & mask
	}
	t.close(i, mask)
	*fl = flow{}
	t.free = append(t.free, n)
	t.count--
}

// close empties slot i, and moves up the entries behind it that a search would
// not find any more beyond the gap.
func (t *flows) close(i, mask uint32) {
	for j := (i + 1) & mask; t.slots[j] != 0; j = (j + 1) & mask {
		home := uint32(t.slots[j]>>32) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = 0
}
