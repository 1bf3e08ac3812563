package diff

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// less gives what is in a and not in b. Both are sorted and without overlap.
func less(a, b []acl.Service) []acl.Service {
	var left []acl.Service
	for _, s := range a {
		first, last := int(s.First), int(s.Last)
		for _, hole := range b {
			if hole.Protocol != s.Protocol || int(hole.Last) < first || int(hole.First) > last {
				continue
			}
			if int(hole.First) > first {
				left = append(left, acl.Service{Protocol: s.Protocol, First: uint16(first), Last: hole.First - 1})
			}
			first = int(hole.Last) + 1
		}
		if first <= last {
			left = append(left, acl.Service{Protocol: s.Protocol, First: uint16(first), Last: uint16(last)})
		}
	}
	return left
}

// whole is what a rule without protocol and ports opens.
func whole() []acl.Service {
	return []acl.Service{{Protocol: acl.ICMP, Last: 65535}, {Protocol: acl.TCP, Last: 65535}, {Protocol: acl.UDP, Last: 65535}, {Protocol: acl.ICMPv6, Last: 65535}}
}

// serviceTexts names services: "tcp/443", "udp/53-54", "icmp".
func serviceTexts(open []acl.Service) []string {
	if slices.Equal(open, whole()) {
		return []string{"everything"}
	}
	all := make([]string, len(open))
	for i, s := range open {
		all[i] = serviceText(s)
	}
	return all
}

func serviceText(s acl.Service) string {
	name := cmp.Or(s.Protocol.Name(), fmt.Sprintf("protocol %d", s.Protocol))
	switch {
	case s.First == 0 && s.Last == 65535:
		return name
	case s.First == s.Last:
		return fmt.Sprintf("%s/%d", name, s.First)
	}
	return fmt.Sprintf("%s/%d-%d", name, s.First, s.Last)
}
