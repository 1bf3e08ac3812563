package compile

import (
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// ClassOf gives the class of an address, zero if no rule knows it, and the owner
// of the node whose address it is.
func (m *Mesh) ClassOf(a netip.Addr) (acl.Class, acl.Owner) {
	p := m.locate(a)
	if p.class == nil {
		return 0, p.owner
	}
	return p.class.num, p.owner
}

// Answers tells whether a packet for an address is the business of a node: the
// address is its own, or no other node's and in one of its routes. A default
// route does not lead into the mesh.
func (m *Mesh) Answers(id string, a netip.Addr) bool {
	n, ok := m.nodes[id]
	if !ok || !a.IsValid() {
		return false
	}
	if e, ok := m.table.Get(single(a)); ok && len(e.hosts) > 0 {
		return len(e.hosts) == 1 && e.hosts[0] == n && n.seatAt(a) == nil
	}
	within := func(p netip.Prefix) bool { return p.Contains(a) }
	if slices.ContainsFunc(n.Routes, within) {
		return true
	}
	return slices.ContainsFunc(n.defaults, within) && !slices.ContainsFunc(m.ranges, within)
}
