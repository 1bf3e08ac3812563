package policy

import (
	"fmt"
	"strings"
)

// lookalike says of a text that names nothing what it looks like, and how that is
// written; nil if it looks like nothing. Letter case counts, and of two readings of an
// address a rule has neither.
func lookalike(text string) *complaint {
	kind, rest, found := strings.Cut(text, ":")
	if low := strings.ToLower(kind); found && low != kind && isKind(low) {
		return complain("has capitals before its colon, where letter case counts", fmt.Sprintf("write %q", shorten(low+":"+rest)))
	}
	if _, isRange, _ := addressRange(text); isRange {
		return complain("is a range of addresses, which stands in an ipset alone", `name it under "ipsets"`)
	}
	switch {
	case strings.HasPrefix(text, "["):
		return complain("has brackets, which stand around an IPv6 address with ports alone", "write the address without them")
	case strings.HasSuffix(text, "."):
		return complain("ends in a dot", "leave the dot out")
	case isDotted(text):
		return complain(noIPv4(text), "write it as 10.20.0.1")
	}
	return nil
}

func isKind(word string) bool {
	switch word {
	case "tag", "group", "autogroup", "seg", "ipset", "user", "host":
		return true
	}
	return false
}

// isDotted tells whether a text is made of digits and dots, as IPv4 addresses are.
func isDotted(text string) bool {
	return strings.Contains(text, ".") && strings.Trim(text, "0123456789.") == ""
}

// noIPv4 says why what is made of digits and dots is no address.
func noIPv4(text string) string {
	for part := range strings.SplitSeq(text, ".") {
		if len(part) > 1 && part[0] == '0' {
			return "is no address: one of its numbers begins with 0, which some take for octal"
		}
	}
	return "is no address: one of IPv4 is four numbers from 0 to 255"
}

// noAddress says of a text where an address must stand why it is none.
func noAddress(text, fix string) *complaint {
	if bad := lookalike(text); bad != nil {
		return bad
	}
	return complain("is no address", fix)
}
