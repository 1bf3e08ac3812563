package policy

import (
	"net/netip"
	"strings"

	"go4.org/netipx"
)

// address reads an address or a CIDR. ok is false when text is neither.
func address(text string) (prefix netip.Prefix, ok bool, bad *complaint) {
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return prefix, false, complain("is no CIDR", "write it as 10.20.0.0/16 or fd00::/48")
		}
		return checkPrefix(prefix)
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return prefix, false, nil
	}
	if addr.Zone() != "" {
		return prefix, false, complain("has a zone", "a zone has no meaning in a mesh; leave it out")
	}
	return checkPrefix(netip.PrefixFrom(addr, addr.BitLen()))
}

// addressRange reads "10.0.0.5-10.0.0.9", both included. ok is false when text is
// no two addresses.
func addressRange(text string) (all netipx.IPRange, ok bool, bad *complaint) {
	low, high, ok := strings.Cut(text, "-")
	if !ok {
		return all, false, nil
	}
	first, isFirst, bad := address(strings.TrimSpace(low))
	last, isLast, worse := address(strings.TrimSpace(high))
	if !isFirst || !isLast || bad != nil || worse != nil || strings.Contains(text, "/") {
		return all, false, nil
	}
	all = netipx.IPRangeFrom(first.Addr(), last.Addr())
	if !all.IsValid() {
		return all, true, complain("is no range of addresses", "write the lower one first, both of one family")
	}
	return all, true, nil
}

// checkPrefix refuses IPv4 addresses in IPv6's clothes: the same machine under
// two names would be two different things to the rules.
func checkPrefix(prefix netip.Prefix) (netip.Prefix, bool, *complaint) {
	if prefix.Addr().Is4In6() {
		return prefix, false, complain("is an IPv4 address mapped into IPv6", "write the IPv4 address itself")
	}
	if prefix != prefix.Masked() {
		return prefix, false, complain("has bits behind its prefix length", "write "+prefix.Masked().String())
	}
	return prefix, true, nil
}
