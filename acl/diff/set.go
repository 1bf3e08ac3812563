package diff

import (
	"encoding/binary"
	"math/bits"
)

// set is numbers from 0, one bit each. A nil set is empty.
type set []uint64

func newSet(size int) set { return make(set, (size+63)/64) }

func (s set) add(n int) { s[n/64] |= 1 << (n % 64) }

func (s set) has(n int) bool { return n/64 < len(s) && s[n/64]&(1<<(n%64)) != 0 }

// join adds what is in o, which is no larger.
func (s set) join(o set) {
	for i, word := range o {
		s[i] |= word
	}
}

// all yields the numbers, ascending.
func (s set) all(yield func(int) bool) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(64*i + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// first gives the lowest number of a set that is not empty.
func (s set) first() int {
	for n := range s.all {
		return n
	}
	return -1
}

func (s set) drop(n int) { s[n/64] &^= 1 << (n % 64) }

func (s set) none() bool {
	for _, word := range s {
		if word != 0 {
			return false
		}
	}
	return true
}

func (s set) count() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// parted gives what is in another set and what is not, of one size; nil: nothing is.
func (s set) parted(by set) (in, out set) {
	var both, rest uint64
	for i, word := range s {
		both, rest = both|word&by[i], rest|word&^by[i]
	}
	switch {
	case rest == 0:
		return s, nil
	case both == 0:
		return nil, s
	}
	in, out = make(set, len(s)), make(set, len(s))
	for i, word := range s {
		in[i], out[i] = word&by[i], word&^by[i]
	}
	return in, out
}

// rest gives what is not in a set of some size.
func (s set) rest(size int) set {
	out := newSet(size)
	for i, word := range s {
		out[i] = ^word
	}
	if past := size % 64; past > 0 {
		out[len(out)-1] &= 1<<past - 1
	}
	return out
}

// key gives one text for equal sets.
func (s set) key() string {
	key := make([]byte, 0, 8*len(s))
	for _, word := range s {
		key = binary.LittleEndian.AppendUint64(key, word)
	}
	return string(key)
}
