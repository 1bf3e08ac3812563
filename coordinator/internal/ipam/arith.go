package ipam

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// last gives the highest address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// room counts the addresses from Next to the end of the range, up to 2^32-1.
func (p Pool) room() uint32 {
	end, next := last(p.Range).As16(), p.Next.As16()
	if [8]byte(end[:8]) != [8]byte(next[:8]) {
		return math.MaxUint32
	}
	n := binary.BigEndian.Uint64(end[8:]) - binary.BigEndian.Uint64(next[8:])
	return uint32(min(n, math.MaxUint32))
}

// add gives a + n. The caller knows that it stays within the family: n is a
// sixteenth of what is left of a range.
func add(a netip.Addr, n uint32) netip.Addr {
	if !a.IsValid() {
		return a
	}
	b := a.As16()
	low := binary.BigEndian.Uint64(b[8:])
	binary.BigEndian.PutUint64(b[8:], low+uint64(n))
	if low+uint64(n) < low {
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])+1)
	}
	out := netip.AddrFrom16(b)
	if a.Is4() {
		return out.Unmap()
	}
	return out
}
