package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
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

// noRoute says of a key that is no network what it is, and how the network is written.
func noRoute(text string, n *names) *complaint {
	name := strings.TrimPrefix(text, "host:")
	if prefix, ok := n.hosts[name]; ok {
		return complain("is a host: a route is written as its network, not by a name", fmt.Sprintf("write %q", prefix))
	}
	if set, ok := n.ipsets[text]; ok {
		fix := "write each of its networks"
		if len(set) == 1 {
			fix = fmt.Sprintf("write %q", set[0])
		}
		return complain("is an ipset: a route is written as its network, not by a name", fix)
	}
	if n.isWho(text) {
		return complain("is no network: that stands first, and behind it who may route it", fmt.Sprintf(`write such as "10.20.0.0/16": [%q]`, text))
	}
	return complain("is no CIDR", "write it as 10.20.0.0/16 or fd00::/48")
}

// isWho tells whether a text names nodes by who they are.
func (n *names) isWho(text string) bool {
	s, bad := n.selector(text)
	return bad == nil && s.isWho()
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
		if !ok && bad == nil {
			bad = noRoute(m.key, n)
		}
		if bad != nil {
			r.fail(m.at, m.key, bad)
		}
		if !ok && n.isWho(m.key) {
			continue // the two are turned round
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
