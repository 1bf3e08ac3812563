package compile

import (
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl/policy"
)

// matches tells whether a selector picks a node by what the node is. Tests and
// approvers ask this way, since they may use names that no rule has.
func (m *Mesh) matches(s policy.Selector, n *Node) bool {
	if len(n.Tags) > 0 {
		return s.Kind == policy.Tagged || (s.Kind == policy.Tag && slices.Contains(n.Tags, s.Name))
	}
	if n.User == "" {
		return false
	}
	switch s.Kind {
	case policy.Member:
		return true
	case policy.User:
		return s.Name == n.User
	case policy.Group:
		logins, _ := m.pol.Group(s.Name)
		return slices.Contains(logins, n.User)
	}
	return false
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
	one := func(s policy.Selector) bool { return m.matches(s, n) }
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
