package osnet

import (
	"cmp"
	"net/netip"
	"slices"
)

// span is a run of addresses of one family; both ends are in it.
type span struct{ from, to netip.Addr }

func spanOf(p netip.Prefix) span {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return span{from: p.Addr(), to: to}
}

func (s span) contains(t span) bool { return !t.from.Less(s.from) && !s.to.Less(t.to) }

// spansOf lists what the prefixes in cover, less what those in out cover. Of two
// that hold an address the longer counts, and of two alike the one in out: so does
// a routing table choose. The spans are of one family, sorted, and do not touch.
func spansOf(is4 bool, in, out []netip.Prefix) []span {
	type paint struct {
		prefix netip.Prefix
		out    bool
	}
	var coats []paint
	for _, p := range in {
		coats = append(coats, paint{prefix: p})
	}
	for _, p := range out {
		coats = append(coats, paint{prefix: p, out: true})
	}
	slices.SortStableFunc(coats, func(a, b paint) int { return cmp.Compare(a.prefix.Bits(), b.prefix.Bits()) })
	var spans []span
	for _, c := range coats {
		s := spanOf(c.prefix)
		switch {
		case c.prefix.Addr().Is4() != is4:
		case c.out:
			spans = without(spans, s)
		case !slices.ContainsFunc(spans, func(have span) bool { return have.contains(s) }):
			spans = append(without(spans, s), s)
		}
	}
	return joined(spans)
}

// without cuts a span out of others.
func without(spans []span, cut span) []span {
	var left []span
	for _, s := range spans {
		if s.to.Less(cut.from) || cut.to.Less(s.from) {
			left = append(left, s)
			continue
		}
		if s.from.Less(cut.from) {
			left = append(left, span{s.from, cut.from.Prev()})
		}
		if cut.to.Less(s.to) {
			left = append(left, span{cut.to.Next(), s.to})
		}
	}
	return left
}

// joined sorts spans that do not overlap, and makes one of those that touch.
func joined(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var out []span
	for _, s := range spans {
		if last := len(out) - 1; last >= 0 && out[last].to.Next() == s.from {
			out[last].to = s.to
			continue
		}
		out = append(out, s)
	}
	return out
}
