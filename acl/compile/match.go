package compile

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl/policy"
)

// picker tells of nodes whether a selector picks them by what they are, or by an
// address that they have. Tests, approvers and ssh rules ask this way, since they
// may use names that no rule has.
func (m *Mesh) picker(s policy.Selector) func(*Node) bool {
	switch s.Kind {
	case policy.Any:
		return func(*Node) bool { return true }
	case policy.Tagged:
		return func(n *Node) bool { return len(n.Tags) > 0 }
	case policy.Tag:
		return func(n *Node) bool {
			return slices.ContainsFunc(n.Tags, func(tag string) bool { return policy.TagName(tag) == s.Name })
		}
	case policy.InSegment:
		segment, _ := m.pol.Segment(s.Name)
		return m.anyPicker(segment.Members)
	case policy.Net, policy.Set:
		prefixes := spans(s, m.pol)
		return func(n *Node) bool {
			return slices.ContainsFunc(n.Addrs, func(a netip.Addr) bool {
				return !m.contested(a) && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
			})
		}
	}
	person := m.personPicker(s)
	return func(n *Node) bool { return len(n.Tags) == 0 && n.User != "" && person(n) }
}

// contested tells whether several nodes claim an address: it is nobody's then.
func (m *Mesh) contested(a netip.Addr) bool {
	e, ok := m.table.Get(single(a))
	return ok && len(e.hosts) > 1
}

// personPicker tells of nodes of people whether a selector picks their owner.
func (m *Mesh) personPicker(s policy.Selector) func(*Node) bool {
	switch s.Kind {
	case policy.Member:
		return func(*Node) bool { return true }
	case policy.User:
		return func(n *Node) bool { return is(n, s.Name) }
	case policy.Role:
		role := strings.TrimPrefix(s.Name, "autogroup:")
		return func(n *Node) bool { return slices.Contains(n.Roles, role) }
	case policy.Domain:
		_, domain, _ := strings.Cut(s.Name, "@")
		return func(n *Node) bool {
			return n.isCalled(func(login string) bool { return strings.HasSuffix(login, "@"+domain) })
		}
	case policy.Group:
		in := func(who string) bool { return m.pol.InGroup(s.Name, who) }
		group := func(g string) bool { return g == s.Name || in(g) }
		return func(n *Node) bool {
			return n.isCalled(in) || in(n.UserName+"@") || slices.ContainsFunc(n.Groups, group)
		}
	}
	return func(*Node) bool { return false }
}

// is tells whether a login, or a name with a bare @ behind it, is a node's owner.
func is(n *Node, login string) bool {
	return login == n.UserName+"@" || n.isCalled(func(own string) bool { return own == login })
}

// logins gives every login by which the policy may name the owner.
func (n *Node) logins() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(n.User) {
			return
		}
		for _, login := range n.Also {
			if !yield(login) {
				return
			}
		}
	}
}

func (n *Node) isCalled(by func(login string) bool) bool {
	return by(n.User) || slices.ContainsFunc(n.Also, by)
}

// RoutesApproved is [Mesh.ApprovedRoutes] by a policy that is compiled for nobody: it costs
// nothing that other rules do.
func RoutesApproved(pol *policy.Policy, n Node, advertised []netip.Prefix) []netip.Prefix {
	return (&Mesh{pol: pol}).ApprovedRoutes(n, advertised)
}

// ApprovedRoutes gives those of the routes that a node advertises which the
// policy approves without asking a person, sorted. A route is approved inside a
// prefix of autoApprovers.routes; a default route by exitNode alone, and a
// default route there approves nothing: it would let one tag stand in front of
// every network.
func (m *Mesh) ApprovedRoutes(n Node, advertised []netip.Prefix) []netip.Prefix {
	approvers := m.pol.AutoApprovers()
	var approved []netip.Prefix
	for _, route := range advertised {
		if !route.IsValid() || route.Addr().Is4In6() {
			continue
		}
		route = route.Masked()
		if m.approves(approvers, &n, route) {
			approved = append(approved, route)
		}
	}
	slices.SortFunc(approved, comparePrefix)
	return slices.Compact(approved)
}

func (m *Mesh) approves(approvers policy.AutoApprovers, n *Node, route netip.Prefix) bool {
	one := func(s policy.Selector) bool { return m.picker(s)(n) }
	if route.Bits() == 0 {
		return slices.ContainsFunc(approvers.ExitNode, one)
	}
	for _, a := range approvers.Routes {
		if a.Prefix.Bits() > 0 && covers(a.Prefix, route) && slices.ContainsFunc(a.Who, one) {
			return true
		}
	}
	return false
}
