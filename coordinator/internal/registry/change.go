package registry

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// change puts next in n's place, if they differ, and tells the audit how.
func (d *decision) change(n, next *Node, action string) {
	if what := difference(n, next); what != "" {
		d.emitOver(n.ID, NodeChanged{Node: *next}, "the machine is another's now")
		d.record(action, n.ID, "%s: %s", n.Name, what)
	}
	d.result.Node, _ = d.state.Node(n.ID)
}

// difference says in words what changed, or nothing.
func difference(a, b *Node) string {
	var out []string
	say := func(changed bool, format string, args ...any) {
		if changed {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(a.Vouched != b.Vouched, "vouched for anew")
	say(a.Approved != b.Approved, "approved %t -> %t", a.Approved, b.Approved)
	say(!a.Expires.Equal(b.Expires), "expires %s -> %s", endText(a.Expires), endText(b.Expires))
	say(a.Expired != b.Expired, "expired %t -> %t", a.Expired, b.Expired)
	say(!slices.Equal(a.Tags, b.Tags), "tags %v -> %v", a.Tags, b.Tags)
	say(!slices.Equal(a.Advertised, b.Advertised), "advertised %v -> %v", a.Advertised, b.Advertised)
	say(!maps.Equal(a.ApprovedRoutes, b.ApprovedRoutes), "approved routes %s -> %s", routesText(a), routesText(b))
	say(a.TunnelKey != b.TunnelKey, "tunnel key %s -> %s", a.TunnelKey.Short(), b.TunnelKey.Short())
	say(a.PathKey != b.PathKey, "path key %s -> %s", a.PathKey.Short(), b.PathKey.Short())
	say(!sameStatement(a.Statement, b.Statement), "statement %d -> %d", a.Sequence, b.Sequence)
	say(a.OS != b.OS, "os %q -> %q", a.OS, b.OS)
	say(a.Version != b.Version, "version %q -> %q", a.Version, b.Version)
	return strings.Join(out, ", ")
}

func routesText(n *Node) string {
	out := []string{}
	for _, p := range slices.SortedFunc(maps.Keys(n.ApprovedRoutes), netip.Prefix.Compare) {
		out = append(out, fmt.Sprintf("%v by %s", p, n.ApprovedRoutes[p]))
	}
	return "[" + strings.Join(out, " ") + "]"
}

// settle makes the routes of next that the policy approves what the policy in
// force says: it adds what is advertised and approved, and takes back what it
// approved and does no longer. What a person approved stays.
func (d *decision) settle(next *Node) {
	pol, _ := d.state.Policy().Parsed() // an unreadable policy is nil, and approves nothing
	approved := map[netip.Prefix]string{}
	for p, by := range next.ApprovedRoutes {
		if by != ByPolicy {
			approved[p] = by
		}
	}
	for _, p := range next.Advertised {
		if _, byPerson := approved[p]; byPerson || d.AutoApprove == nil || pol == nil {
			continue
		}
		if d.AutoApprove(pol, *next, p) && d.carrier(p, next.ID) == nil {
			approved[p] = ByPolicy
		}
	}
	next.ApprovedRoutes = approved
	if len(approved) == 0 {
		next.ApprovedRoutes = nil
	}
}

// carrier gives the node other than one that may carry a prefix, if there is. A
// prefix has one gateway: nodes refuse a map in which it has two.
func (d *decision) carrier(p netip.Prefix, other string) *Node {
	for n := range d.state.Nodes() {
		if _, carries := n.ApprovedRoutes[p]; carries && n.ID != other {
			return n
		}
	}
	return nil
}

// passOn lets the policy give to another gateway what one carries no longer.
func (d *decision) passOn() {
	for _, e := range d.entries {
		var id string
		switch v := e.Event.(type) {
		case NodeChanged:
			id = v.Node.ID
		case NodeRemoved:
			id = v.Revocation.Node
		case RevocationTaken:
			id = v.Revocation.Node
		}
		if before, ok := d.before.Node(id); ok && d.released(before) {
			answer := d.result.Node
			d.settleAll()
			d.result.Node = answer
			return
		}
	}
}

// released tells whether a node may no longer carry something that it could.
func (d *decision) released(before *Node) bool {
	after, ok := d.state.Node(before.ID)
	for p := range before.ApprovedRoutes {
		if !ok {
			return true
		}
		if _, still := after.ApprovedRoutes[p]; !still {
			return true
		}
	}
	return false
}

// warnUnknown warns of tags that the policy does not know. They are no error: a
// node may be tagged before the policy that speaks of the tag is written, and an
// unknown tag is in no rule.
func (d *decision) warnUnknown(tags []string) {
	pol, _ := d.state.Policy().Parsed()
	for _, tag := range tags {
		if _, known := pol.TagOwners(tag); !known {
			d.warn("the policy in force has no %s in tagOwners, so no rule speaks of it", tag)
		}
	}
}
