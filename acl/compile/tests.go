package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// TestFailure is one expectation of the policy's own tests that does not hold.
type TestFailure struct {
	Pos      policy.Position // of the expectation, or of the test
	Text     string          // what was expected and what is, in words
	NoDevice bool            // nobody to judge by: a source or destination without any device
}

// String gives position and text in one line.
func (f TestFailure) String() string { return f.Pos.String() + ": " + f.Text }

// Test judges the policy's own tests on the nodes that there are. None failed
// when it returns nil.
//
// What a test accepts must be open from every device of its source to at least
// one device of the destination; what it denies must be open from none to any.
// Source and destination must have devices; an address is one, whoever has it.
func (m *Mesh) Test() []TestFailure {
	j := judging{m, make(map[string][]device)}
	var failures []TestFailure
	for _, t := range m.pol.Tests() {
		from := j.devices(t.Src)
		if len(from) == 0 {
			failures = append(failures, TestFailure{t.Pos, fmt.Sprintf("source %s has no device to test with", t.Src), true})
			continue
		}
		for _, target := range t.Accept {
			failures = append(failures, j.expect(t, target, from, true)...)
		}
		for _, target := range t.Deny {
			failures = append(failures, j.expect(t, target, from, false)...)
		}
	}
	return failures
}

// judging runs one set of tests. It looks each name up once.
type judging struct {
	*Mesh
	known map[string][]device
}

// device is what a test's source or destination stands for: a node with its
// addresses, or an address or prefix that the test names.
type device struct {
	label  string
	owner  acl.Owner
	places []devicePlace
}

type devicePlace struct {
	place
	is4 bool
}

// devices gives what a selector stands for in a test, by label.
func (j judging) devices(s policy.Selector) []device {
	all, ok := j.known[s.Key()]
	if !ok {
		all = j.lookUp(s)
		j.known[s.Key()] = all
	}
	return all
}

func (m *Mesh) lookUp(s policy.Selector) []device {
	var all []device
	if s.Kind == policy.Net || s.Kind == policy.Set {
		for _, prefix := range spans(s, m.pol) {
			all = append(all, m.netDevices(s.String(), prefix)...)
		}
		return all
	}
	picks := m.picker(s)
	for _, n := range m.nodes {
		if picks(&n.Node) {
			all = append(all, m.deviceOf(n))
		}
	}
	slices.SortFunc(all, func(a, b device) int { return cmp.Compare(a.label, b.label) })
	return all
}

func (m *Mesh) deviceOf(n *node) device {
	d := device{label: n.title(), owner: n.record.owner}
	for _, a := range n.Addrs {
		d.places = append(d.places, devicePlace{m.locate(a), a.Is4()})
	}
	return d
}

// netDevices gives an address as one device, and of a prefix one device for
// everything in it that the policy can tell apart.
func (m *Mesh) netDevices(label string, prefix netip.Prefix) []device {
	first := prefix.Addr()
	one := device{label: label, places: []devicePlace{{m.locate(first), first.Is4()}}}
	one.owner = one.places[0].owner
	all := []device{one}
	if prefix.IsSingleIP() {
		return all
	}
	for inner := range m.table.Subnets(prefix) {
		p := m.locate(inner.Addr())
		all = append(all, device{label: inner.String(), owner: p.owner, places: []devicePlace{{p, first.Is4()}}})
	}
	return all
}

// expect judges one expectation.
func (j judging) expect(t policy.Test, target policy.Target, from []device, accept bool) []TestFailure {
	fail := func(noDevice bool, format string, args ...any) []TestFailure {
		return []TestFailure{{target.Pos, fmt.Sprintf(format, args...), noDevice}}
	}
	all := j.devices(target.Dst)
	if len(all) == 0 && target.Dst.Kind != policy.Self {
		return fail(true, "%s has no device to test with", target.Dst)
	}
	for _, src := range from {
		to := all
		if target.Dst.Kind == policy.Self {
			if to = j.ownDevices(src); len(to) == 0 {
				return fail(false, "%s belongs to nobody, so there is no autogroup:self to test with", src.label)
			}
		}
		p, dst := j.open(t, src, to, target.Port)
		switch {
		case accept && p == nil:
			return fail(false, "%s must reach %s, but no rule lets it", src.label, target.Text)
		case !accept && p != nil:
			return fail(false, "%s must not reach %s, but rule %s lets it reach %s", src.label, target.Text, ruleText(p), dst)
		}
	}
	return nil
}

// ownDevices gives all nodes of a device's owner.
func (m *Mesh) ownDevices(d device) []device {
	var all []device
	if d.owner == 0 {
		return nil
	}
	for _, n := range m.byOwner[d.owner] {
		all = append(all, m.deviceOf(n))
	}
	return all
}

// open gives a part that opens the port from src to one of the devices, and
// which device that is.
func (m *Mesh) open(t policy.Test, src device, to []device, port uint16) (*part, string) {
	for _, dst := range to {
		for _, x := range src.places {
			for _, y := range dst.places {
				if x.is4 != y.is4 {
					continue
				}
				if p := m.opensAny(x.place, y.place, t.Protocols, port); p != nil {
					return p, dst.label
				}
			}
		}
	}
	return nil, ""
}

// opensAny gives a part that opens the port for one of the protocols. That an
// echo request passes does not count: a test asks for a port.
func (m *Mesh) opensAny(from, to place, protocols []acl.Protocol, port uint16) *part {
	return m.first(from, to, func(p *part) bool {
		return slices.ContainsFunc(p.open, func(s acl.Service) bool {
			return slices.Contains(protocols, s.Protocol) && s.First <= port && port <= s.Last
		})
	})
}
