package dns

import (
	"net/netip"
	"strconv"
	"strings"
)

// The trees in which addresses have names (RFC 1035 section 3.5, RFC 3596
// section 2.5), and how many bits a label of each has.
const (
	tree4, step4 = "in-addr.arpa.", 8
	tree6, step6 = "ip6.arpa.", 4
)

func treeOf(a netip.Addr) (tree string, step int) {
	if a.Is4() {
		return tree4, step4
	}
	return tree6, step6
}

// parseReverse reads a name in one of the trees, lower case and with a final dot,
// as the addresses that it stands above; below tells that it is under a whole
// address, where there is nothing.
func parseReverse(name string) (p netip.Prefix, below, ok bool) {
	rest, is4 := strings.CutSuffix(name, tree4)
	base, bytes := 10, make([]byte, 4)
	if !is4 {
		if rest, ok = strings.CutSuffix(name, tree6); !ok {
			return p, false, false
		}
		base, bytes = 16, make([]byte, 16)
	}
	if rest != "" && !strings.HasSuffix(rest, ".") {
		return p, false, false // such as "xin-addr.arpa."
	}
	bits, step := 0, step4
	if !is4 {
		step = step6
	}
	for rest = strings.TrimSuffix(rest, "."); rest != "" && bits < 8*len(bytes); bits += step {
		cut := strings.LastIndexByte(rest, '.')
		v, valid := parseDigits(rest[cut+1:], base)
		if !valid {
			return p, false, false
		}
		bytes[bits/8] |= v << (8 - step - bits%8)
		rest = rest[:max(cut, 0)]
	}
	a, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(a, bits), rest != "", true
}

// parseDigits takes the one spelling that a label of an address has.
func parseDigits(label string, base int) (byte, bool) {
	v, err := strconv.ParseUint(label, base, 8)
	if err != nil || strconv.FormatUint(v, base) != label || base == 16 && v > 15 {
		return 0, false
	}
	return byte(v), true
}

// reverseName gives the name above the first bits of an address; they are whole
// labels.
func reverseName(a netip.Addr, bits int) string {
	tree, step := treeOf(a)
	var b strings.Builder
	bytes := a.AsSlice()
	for at := bits - step; at >= 0; at -= step {
		v := bytes[at/8] >> (8 - step - at%8)
		if step == step6 {
			v &= 15
			b.WriteString(strconv.FormatUint(uint64(v), 16))
		} else {
			b.WriteString(strconv.Itoa(int(v)))
		}
		b.WriteByte('.')
	}
	return b.String() + tree
}

// whole gives how many bits the labels have that a range takes.
func whole(r netip.Prefix) int {
	_, step := treeOf(r.Addr())
	return (r.Bits() + step - 1) / step * step
}

// reverseZones lists the names above a range, together exactly it: 100.64.0.0/10
// has 64 of them, 64.100.in-addr.arpa. and on.
func reverseZones(r netip.Prefix) (names []string) {
	bits := whole(r)
	if bits == 0 {
		tree, _ := treeOf(r.Addr())
		return []string{tree}
	}
	bytes := r.Masked().Addr().AsSlice()
	_, step := treeOf(r.Addr())
	last := bits - step // the label that is cut
	unit := byte(1) << (8 - step - last%8)
	for range 1 << (bits - r.Bits()) {
		a, _ := netip.AddrFromSlice(bytes)
		names = append(names, reverseName(a, bits))
		bytes[last/8] += unit
	}
	return names
}
