package osnet

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The spans hold exactly the addresses whose longest prefix leads in.
func TestSpansAreWhatALookUpSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		is4 := rapid.Bool().Draw(t, "IPv4")
		draw := rapid.Custom(func(t *rapid.T) netip.Prefix { return drawPrefix(t, is4) })
		in := rapid.SliceOfN(draw, 0, 6).Draw(t, "in")
		out := rapid.SliceOfN(draw, 0, 6).Draw(t, "out")
		foreign := netip.MustParsePrefix("fd00::/8")
		if !is4 {
			foreign = netip.MustParsePrefix("10.0.0.0/8")
		}
		spans := spansOf(is4, append([]netip.Prefix{foreign}, in...), out)
		for i := range spans {
			if spans[i].to.Less(spans[i].from) || i > 0 && !spans[i-1].to.Next().Less(spans[i].from) {
				t.Fatalf("%v is not sorted and apart", spans)
			}
		}
		for _, a := range edges(slices.Concat(in, out)) {
			has := slices.ContainsFunc(spans, func(s span) bool { return s.contains(span{a, a}) })
			if want := longest(in, a) > longest(out, a); has != want {
				t.Fatalf("%s is in %v: %v, want %v", a, spans, has, want)
			}
		}
	})
}

// drawPrefix draws from a few, so that they meet: bytes of 0, 1 or 255.
func drawPrefix(t *rapid.T, is4 bool) netip.Prefix {
	size := 16
	if is4 {
		size = 4
	}
	b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 255}), size, size).Draw(t, "address")
	a, _ := netip.AddrFromSlice(b)
	p, _ := a.Prefix(rapid.IntRange(0, size*8).Draw(t, "bits"))
	return p
}

// edges are the first and last address of each prefix, their neighbours, and one
// within.
func edges(prefixes []netip.Prefix) (list []netip.Addr) {
	for _, p := range prefixes {
		s := spanOf(p)
		within := s.from.AsSlice()
		for bit := p.Bits(); bit < len(within)*8; bit++ {
			within[bit/8] |= byte(rand.IntN(2)) << (7 - bit%8)
		}
		a, _ := netip.AddrFromSlice(within)
		for _, e := range []netip.Addr{s.from, s.to, a, s.from.Prev(), s.to.Next()} {
			if e.IsValid() {
				list = append(list, e)
			}
		}
	}
	return list
}

// longest is the length of the longest prefix around a, or -1.
func longest(prefixes []netip.Prefix, a netip.Addr) int {
	bits := -1
	for _, p := range prefixes {
		if p.Contains(a) {
			bits = max(bits, p.Bits())
		}
	}
	return bits
}
