package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// span is an inclusive range of ports. The whole range stands for "*".
type span struct{ first, last uint16 }

func (s span) whole() bool { return s.first == 0 && s.last == 65535 }

// maxPorts is how many ports and ranges one list may have.
const maxPorts = 1000

// ports adds to a list what "*", "22", "80-443" or several of these say.
func ports(all []span, text string) ([]span, *complaint) {
	if strings.Count(text, ",") >= maxPorts {
		return nil, complain(fmt.Sprintf("more than %d ports", maxPorts), "use ranges, or *")
	}
	for one := range strings.SplitSeq(text, ",") {
		s, bad := portRange(strings.TrimSpace(one))
		if bad != nil {
			return nil, bad
		}
		all = append(all, s)
	}
	return all, nil
}

func portRange(text string) (span, *complaint) {
	if text == "*" {
		return span{0, 65535}, nil
	}
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, ok1 := number(low, 65535)
	last, ok2 := number(high, 65535)
	switch {
	case !ok1 || !ok2:
		which := "first"
		if ok1 {
			which = "last"
		}
		return span{}, complain(fmt.Sprintf("port range %q: invalid %s integer", shorten(text), which), portAdvice(low, high))
	case first == 0:
		return span{}, complain(fmt.Sprintf("port range %q: first port must be >0, or use '*' for wildcard", text), "use * for all ports")
	case last < first:
		return span{}, complain(fmt.Sprintf("port range %q runs backwards", text), "write the lower port first")
	}
	return span{uint16(first), uint16(last)}, nil
}

// portAdvice says how to write ports that are none.
func portAdvice(low, high string) string {
	for _, text := range []string{low, high} {
		if bare := strings.TrimLeft(text, "0"); bare != text && bare != "" && strings.Trim(bare, "0123456789") == "" {
			return fmt.Sprintf("write %s: a port has no leading zero", shorten(bare))
		}
	}
	return "write 22, 80-443 or *; a port is a number from 1 to 65535"
}

// number reads a decimal number without sign or leading zeros.
func number(text string, most int) (int, bool) {
	if text == "" || len(text) > 5 || (text[0] == '0' && text != "0") {
		return 0, false
	}
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = 10*n + int(text[i]-'0')
	}
	return n, n <= most
}

// protocol reads a protocol's name, in any letter case, or number. Empty gives nil:
// the default ones.
func protocol(text string) ([]acl.Protocol, *complaint) {
	if text == "" {
		return nil, nil
	}
	if p, ok := protocolNamed(strings.ToLower(text)); ok {
		return []acl.Protocol{p}, nil
	}
	if n, ok := number(text, 255); ok {
		return []acl.Protocol{acl.Protocol(n)}, nil
	}
	often := map[string]bool{"tcp": true, "udp": true, "icmp": true, "sctp": true}
	return nil, complainOf(fmt.Sprintf("unknown protocol %q", shorten(text)), text, often, "use tcp, udp, icmp, sctp or a number from 0 to 255")
}

func protocolNamed(name string) (acl.Protocol, bool) {
	switch name {
	case "icmp", "icmpv4":
		return acl.ICMP, true
	case "igmp":
		return 2, true
	case "ipv4", "ip-in-ip":
		return 4, true
	case "tcp":
		return acl.TCP, true
	case "egp":
		return 8, true
	case "igp":
		return 9, true
	case "udp":
		return acl.UDP, true
	case "dccp":
		return 33, true
	case "gre":
		return 47, true
	case "esp":
		return 50, true
	case "ah":
		return 51, true
	case "ipv6-icmp", "icmpv6":
		return acl.ICMPv6, true
	case "sctp":
		return acl.SCTP, true
	}
	return 0, false
}

// services adds to a list the ports of the protocols; nil stands for the default ones.
//
// A rule for some ports without a protocol opens TCP and UDP: an echo request
// passes wherever anything is open, and the rest of ICMP only with all ports.
func services(open []acl.Service, protocols []acl.Protocol, spans []span) ([]acl.Service, *complaint) {
	byDefault := protocols == nil
	if byDefault {
		protocols = []acl.Protocol{acl.ICMP, acl.TCP, acl.UDP, acl.ICMPv6}
	}
	open = slices.Grow(open, len(protocols)*len(spans))
	for _, p := range protocols {
		for _, s := range spans {
			if !p.HasPorts() && !s.whole() {
				if byDefault {
					continue
				}
				return nil, complain("has ports, but its protocol has none", "write * for the ports")
			}
			open = append(open, acl.Service{Protocol: p, First: s.first, Last: s.last})
		}
	}
	return open, nil
}
