package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// Test is one of the policy's own tests: what a source must and must not
// reach. Judging it takes the real nodes and is acl/compile's job.
type Test struct {
	Pos       Position
	Src       Selector
	Protocols []acl.Protocol // any of them will do; never empty
	Accept    []Target
	Deny      []Target

	// Attributes are what it supposes of the source's device ("srcPostureAttrs"):
	// string, float64 or bool each.
	Attributes map[string]any

	Name   string // "nurse, fresh tap"
	Given  *Given // nil: it is judged on the nodes that there are
	Expect *Expect
}

// Target is one host and one port.
type Target struct {
	Pos  Position
	Text string // as written
	Dst  Selector
	Port uint16

	Virtual bool // a virtual service: there are none here, so nobody can judge it, and Dst picks nothing
}

// tests reads [{"src", "proto", "accept": ["host:port"], "deny": [...]}], and what
// [ruleReader.supposed] does.
func (r *ruleReader) tests(section member) []Test {
	var all []Test
	elements := r.entries(section, "tests", "tests")
	for i := range elements {
		before := len(r.errs)
		if t := r.test(&elements[i]); !r.inForce || len(r.errs) == before {
			all = append(all, t)
		}
	}
	return all
}

func (r *ruleReader) test(v *value) Test {
	t := Test{Pos: r.pos(v.at)}
	fields := r.keyed(v, "a test", testKeys)
	r.oldName(fields, "user", "src")
	r.oldName(fields, "allow", "accept")
	t.Src = r.testSource(v, fields.member("src"), r.names)
	t.Protocols = r.testProtocols(fields.member("proto"))
	t.Accept = r.targets(fields.member("accept"), "accept", r.names)
	t.Deny = r.targets(fields.member("deny"), "deny", r.names)
	if isEmptyList(fields.member("accept")) && isEmptyList(fields.member("deny")) {
		r.fail(v.at, "", complain("a test has neither accept nor deny", `add "accept": ["host:port"] or "deny": [...]`))
	}
	r.supposed(&t, v, fields)
	return t
}

func isEmptyList(m member) bool { return m.value == nil || m.value.isEmpty() }

func (r *reader) testSource(v *value, m member, n *names) Selector {
	if m.value == nil {
		r.fail(v.at, "", complain("a test has no src", "name a user, group, tag, host or address"))
		return Selector{}
	}
	it, ok := r.text(m.value, `"src"`)
	if !ok {
		return Selector{}
	}
	s, bad := n.selector(it.text)
	if bad == nil && (s.Kind == Self || s.Kind == Internet || s.Kind == World || s.Kind == InSegment || s.Kind == Any) {
		bad = complain("is no source to test from", "name a user, group, tag, host or address")
	}
	if bad != nil {
		r.failAt(it.at, "src", it.text, bad)
	}
	return s
}

// testProtocols reads a test's protocol. Without one, TCP or UDP will do: they
// are what a rule opens by default and has ports for.
func (r *reader) testProtocols(m member) []acl.Protocol {
	if m.value == nil || m.value.isNull() {
		return []acl.Protocol{acl.TCP, acl.UDP}
	}
	it, ok := r.text(m.value, `"proto"`)
	if !ok {
		return nil
	}
	protocols, bad := protocol(it.text)
	switch {
	case bad == nil && protocols == nil:
		return r.testProtocols(member{})
	case bad == nil && !protocols[0].HasPorts():
		bad = complain("a test asks for a port, and this protocol has none", "use tcp, udp or sctp")
	case bad != nil:
		bad.fix = "use tcp, udp or sctp"
	}
	if bad != nil {
		r.failAt(it.at, "proto", it.text, bad)
	}
	return protocols
}

// targets reads a list of "host:port".
func (r *reader) targets(m member, what string, n *names) []Target {
	if m.value == nil {
		return nil
	}
	var all []Target
	for _, it := range r.texts(m.value, `"`, what) {
		t, wrong := n.target(it.text)
		t.Pos = r.pos(it.at)
		for _, bad := range wrong {
			r.failAt(it.at, what, it.text, bad)
		}
		if len(wrong) > 0 {
			continue
		}
		if t.Virtual {
			r.warn(it.at, it.text, "is not judged: there are no virtual services here")
		}
		all = append(all, t)
	}
	return all
}

// target reads one host and one port: a test over a range could pass by halves. Both
// may be wrong.
func (n *names) target(text string) (t Target, wrong []*complaint) {
	t.Text = text
	host, portText, bad := splitPorts(text)
	if bad != nil {
		return t, []*complaint{complain(strings.Replace(bad.why, "ports", "port", 1), onePort(text))}
	}
	if t.Virtual = isVirtual(host); !t.Virtual {
		if t.Dst, bad = n.selector(host); bad == nil {
			bad = n.oneHost(host, t.Dst)
		}
	}
	if bad != nil {
		wrong = append(wrong, bad)
	}
	p, ok := number(portText, 65535)
	if !ok || p == 0 {
		wrong = append(wrong, complain(fmt.Sprintf("port %q is not one port", shorten(portText)), onePort(host)))
	}
	t.Port = uint16(p)
	return t, wrong
}

// onePort says how a test asks for one port of a host.
func onePort(host string) string {
	switch addr, err := netip.ParseAddr(host); {
	case err == nil && addr.Is6():
		host = "[" + host + "]"
	case strings.ContainsAny(host, "[] ") || strings.Trim(host, digits) == "":
		host = "tag:ehr"
	}
	return fmt.Sprintf("write one number from 1 to 65535 behind it, as %q", shorten(host)+":443")
}

// oneHost refuses what is no one host, or more than a test can ask for.
func (n *names) oneHost(host string, s Selector) *complaint {
	switch {
	case s.Kind == Internet || s.Kind == World:
		return complain(fmt.Sprintf("%s not valid as a test destination", s.Name), "a test asks for one user, group, tag, host or address")
	case s.Kind == Any, s.Kind == InSegment, s.Kind == Net && strings.Contains(host, "/"), s.Kind == Set && len(n.ipsets[host]) != 1,
		n.holds(s, func(p netip.Prefix) bool { return !p.IsSingleIP() }):
		return complain("is not one host", "a test asks for one user, group, tag, host or address")
	}
	return nil
}
