package query_test

import "net/netip"

// span is all addresses from lo to hi, both of one family.
type span struct{ lo, hi netip.Addr }

// space is a set of addresses, as a list of spans in any order that may
// overlap.
type space []span

func spanOf(p netip.Prefix) span {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	hi, _ := netip.AddrFromSlice(last)
	return span{p.Addr(), hi}
}

// rangeOf reads the two ends of a range; ok is false for anything else.
func rangeOf(low, high string) (s space, ok bool) {
	lo, badLow := netip.ParseAddr(low)
	hi, badHigh := netip.ParseAddr(high)
	return space{{lo, hi}}, badLow == nil && badHigh == nil
}

func spaceOf(prefixes ...string) space {
	var s space
	for _, p := range prefixes {
		s = append(s, spanOf(netip.MustParsePrefix(p)))
	}
	return s
}

func spaceOfAddrs(addrs []netip.Addr) space {
	var s space
	for _, a := range addrs {
		s = append(s, span{a, a})
	}
	return s
}

func spaceOfPrefixes(prefixes []netip.Prefix) space {
	var s space
	for _, p := range prefixes {
		s = append(s, spanOf(p))
	}
	return s
}

func everything() space { return spaceOf("0.0.0.0/0", "::/0") }

func (s space) has(a netip.Addr) bool {
	for _, one := range s {
		if a.Is4() == one.lo.Is4() && one.lo.Compare(a) <= 0 && a.Compare(one.hi) <= 0 {
			return true
		}
	}
	return false
}

func (s space) overlaps(other space) bool {
	for _, a := range s {
		for _, b := range other {
			if a.lo.Is4() == b.lo.Is4() && a.lo.Compare(b.hi) <= 0 && b.lo.Compare(a.hi) <= 0 {
				return true
			}
		}
	}
	return false
}

// minus is s without what is in other.
func (s space) minus(other space) space {
	for _, cut := range other {
		var left space
		for _, one := range s {
			if !(space{one}).overlaps(space{cut}) {
				left = append(left, one)
				continue
			}
			if one.lo.Less(cut.lo) {
				left = append(left, span{one.lo, cut.lo.Prev()})
			}
			if cut.hi.Less(one.hi) {
				left = append(left, span{cut.hi.Next(), one.hi})
			}
		}
		s = left
	}
	return s
}
