package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// ruleText names a rule and its place.
func ruleText(p *part) string {
	return fmt.Sprintf("%q (%s:%d)", p.rule.ID, p.rule.Pos.File, p.rule.Pos.Line)
}

func protocolText(p acl.Protocol) string {
	return cmp.Or(p.Name(), fmt.Sprintf("protocol %d", p))
}

// openText writes services as a reader would: "tcp 22, 80-443; udp 53", and "*"
// for what a rule without protocol and ports opens.
func openText(open []acl.Service) string {
	if slices.Equal(open, []acl.Service{{Protocol: acl.ICMP, Last: 65535}, {Protocol: acl.TCP, Last: 65535}, {Protocol: acl.UDP, Last: 65535}, {Protocol: acl.ICMPv6, Last: 65535}}) {
		return "*"
	}
	var b strings.Builder
	for i, s := range open {
		switch {
		case i > 0 && open[i-1].Protocol == s.Protocol:
			b.WriteString(", ")
		case i > 0:
			b.WriteString("; ")
			fallthrough
		default:
			b.WriteString(protocolText(s.Protocol) + " ")
		}
		switch {
		case s.First == 0 && s.Last == 65535:
			b.WriteString("*")
		case s.First == s.Last:
			fmt.Fprint(&b, s.First)
		default:
			fmt.Fprintf(&b, "%d-%d", s.First, s.Last)
		}
	}
	return b.String()
}

func sourceText(p *part) string { return listText(p.rule.Src) }

// targetText names where a part opens something.
func targetText(p *part) string {
	switch {
	case p.self:
		return "one's own nodes"
	case p.internet && !p.words.Internet:
		return listText(p.words.Dst) + ", on the internet"
	case p.internet:
		return "the internet"
	}
	return listText(p.words.Dst)
}

// listText names selectors, the first few of them.
func listText(all []policy.Selector) string {
	const most = 4
	names := make([]string, 0, most+1)
	for i, s := range all {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(all)-most))
			break
		}
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

// levelText is a level of logging as an admin writes it.
func levelText(l acl.LogLevel) string {
	switch l {
	case acl.LogOff:
		return "off"
	case acl.LogDrops:
		return "drops"
	case acl.LogDetail:
		return "detail"
	case acl.LogRecord:
		return "record"
	}
	return "flows"
}

// factText says of a fact what would make it so.
func (m *Mesh) factText(f acl.Fact) string {
	switch n := m.book.needs[f]; {
	case n.signedIn:
		return "a person who is signed in at the device"
	case n.mfa != nil:
		return loginText(n.mfa)
	case n.session != nil:
		return sessionText(n.session)
	case n.onCall != "":
		return "being on duty by the roster " + n.onCall
	case n.risk != nil:
		return fmt.Sprintf("a device whose risk is below %d", *n.risk)
	case n.approval != nil:
		a, _ := m.pol.Approval(n.approval.Approval)
		return fmt.Sprintf("approval by %d of %s (%s)", max(1, a.Count), listText(a.By), a.Name)
	case n.glass != "":
		return fmt.Sprintf("breaking the glass %q", n.glass)
	case n.person != nil:
		return fmt.Sprintf("somebody of %s who sits at the device", listText(n.person.people))
	}
	if p, ok := m.pol.Posture(string(f)); ok {
		return fmt.Sprintf("a device with %s (%s:%d)", f, p.Pos.File, p.Pos.Line)
	}
	return string(f)
}

// heldText is factText for what is so.
func (m *Mesh) heldText(f acl.Fact) string {
	if n := m.book.needs[f]; n.glass != "" {
		return fmt.Sprintf("the glass %q is broken", n.glass)
	}
	return m.factText(f)
}

// unreported tells whether a fact holds since nothing was reported: of a device without a
// signal of its risk, or without an attribute that must not be set.
func (m *Mesh) unreported(f acl.Fact) bool {
	n := m.book.needs[f]
	if n.risk != nil {
		return !m.risk
	}
	p, ok := m.pol.Posture(n.posture)
	return ok && !slices.ContainsFunc(p.Conditions, func(c policy.Condition) bool { return c.Op != "NOT SET" })
}

func loginText(w *policy.MFA) string {
	text := "a login"
	if len(w.AMR) > 0 {
		text += " by " + strings.Join(w.AMR, " or ")
	}
	if w.ACR != "" {
		text += " of class " + w.ACR
	}
	if w.Within > 0 {
		text += " within the last " + policy.SpanText(w.Within)
	}
	return text
}

func sessionText(w *policy.Session) string {
	text := "a session at the device"
	if w.Kind != "" {
		text += " begun by " + w.Kind
	}
	if w.Idle > 0 {
		text += ", with input in the last " + policy.SpanText(w.Idle)
	}
	return text
}
