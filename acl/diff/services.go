package diff

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

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

// onlyLater tells whether one rule is another at a later time: a schedule is told
// as one rule for each of its next windows.
func onlyLater(a, b *acl.Rule) bool {
	return a.ID == b.ID && !b.NotBefore.IsZero() && b.NotBefore.After(a.NotBefore) && a.SameOwner == b.SameOwner && a.Monitor == b.Monitor &&
		slices.Equal(a.Src, b.Src) && slices.Equal(a.Dst, b.Dst) && slices.Equal(a.Open, b.Open) && slices.Equal(a.Needs, b.Needs)
}

// conditions gives the conditions of a rule in words; empty: none. The rule stands
// there once for each of its windows. What goes on for some time after, how much
// is recorded and what a node must be able to do are no conditions.
func conditions(windows []acl.Rule) string {
	var all []string
	r := &windows[0]
	for _, fact := range r.Needs {
		all = append(all, string(fact))
	}
	if r.Monitor {
		all = append(all, "being monitored")
	}
	if !r.NotBefore.IsZero() {
		all = append(all, "from "+r.NotBefore.UTC().Format(time.RFC3339))
	}
	if !r.NotAfter.IsZero() {
		all = append(all, "until "+r.NotAfter.UTC().Format(time.RFC3339))
	}
	if more := windows[1:]; len(more) > 0 {
		var times strings.Builder
		for i := range more {
			fmt.Fprintln(&times, more[i].NotBefore.UTC(), more[i].NotAfter.UTC())
		}
		sum := sha256.Sum256([]byte(times.String()))
		all = append(all, fmt.Sprintf("%d times more within days (schedule %x)", len(more), sum[:3]))
	}
	return strings.Join(all, " and ")
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
	name := fmt.Sprintf("protocol %d", s.Protocol)
	switch s.Protocol {
	case acl.ICMP:
		name = "icmp"
	case acl.TCP:
		name = "tcp"
	case acl.UDP:
		name = "udp"
	case acl.ICMPv6:
		name = "icmpv6"
	case acl.SCTP:
		name = "sctp"
	}
	switch {
	case s.First == 0 && s.Last == 65535:
		return name
	case s.First == s.Last:
		return fmt.Sprintf("%s/%d", name, s.First)
	}
	return fmt.Sprintf("%s/%d-%d", name, s.First, s.Last)
}
