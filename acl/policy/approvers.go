package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// AutoApprovers says whose advertised routes are approved at once.
type AutoApprovers struct {
	Routes   []RouteApprover // sorted by prefix
	ExitNode []Selector      // who may be an exit node
}

// RouteApprover approves every route inside Prefix that a node of one of Who
// advertises. It never approves a default route, whatever the prefix.
type RouteApprover struct {
	Prefix netip.Prefix
	Who    []Selector
}

// autoApprovers reads {"routes": {cidr: [who]}, "exitNode": [who]}.
func (r *reader) autoApprovers(section member, n *names) AutoApprovers {
	var a AutoApprovers
	if section.value == nil {
		return a
	}
	fields := r.keyed(section.value, `"autoApprovers"`, approverKeys)
	for _, m := range r.optional(fields.member("routes"), "routes") {
		prefix, ok, bad := n.network(m.key)
		if !ok {
			if bad == nil {
				bad = complain("is no CIDR", "write it as 10.20.0.0/16 or fd00::/48")
			}
			r.fail(m.at, m.key, bad)
		}
		a.Routes = append(a.Routes, RouteApprover{prefix, r.people(m, n)})
	}
	slices.SortFunc(a.Routes, func(x, y RouteApprover) int {
		return cmp.Or(x.Prefix.Addr().Compare(y.Prefix.Addr()), cmp.Compare(x.Prefix.Bits(), y.Prefix.Bits()))
	})
	if m, ok := fields.get("exitNode"); ok {
		a.ExitNode = r.people(m, n)
	}
	return a
}
