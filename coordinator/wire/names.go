package wire

import (
	"net/netip"
	"strings"
)

// isLabel tells whether s is a host name label of RFC 1123 section 2.1, in
// lower case: a name has one spelling.
func isLabel(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// isWord tells whether s is something that people or programs read in a line: a
// tag, a login, a fact, a feature, a rule id. No blanks, no control bytes.
func isWord(s string) bool {
	if len(s) == 0 || len(s) > 255 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\ufffd' })
}

// parseAddr takes the one spelling that an address has here: no zone, no
// IPv4 in IPv6, lower case, shortest form. Two spellings of one address would
// be two keys to whoever compares text.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.String() != s {
		return netip.Addr{}, malformed("%q is not an address in its shortest form", clip(s))
	}
	return a, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() || p != p.Masked() || p.String() != s {
		return netip.Prefix{}, malformed("%q is not a prefix in its shortest form", clip(s))
	}
	return p, nil
}

// clip keeps an error line short whatever came in.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
