package compile

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl/policy"
)

// Pick tells whether something of a node counts: one of its addresses, or a
// network behind it. A nil Pick takes all.
type Pick func(n Node, has netip.Prefix) bool

// PickNode picks a node with all that is behind it.
func PickNode(id string) Pick {
	return func(n Node, _ netip.Prefix) bool { return n.ID == id }
}

// PickSelector picks what a policy's name picks: the addresses of the nodes that
// it means, and never what is behind them; or, of a name of addresses, what has a
// part of them.
func (m *Mesh) PickSelector(s policy.Selector) Pick {
	if s.Kind == policy.Net || s.Kind == policy.Set {
		prefixes := spans(s, m.pol)
		return func(_ Node, has netip.Prefix) bool {
			return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return covers(p, has) || covers(has, p) && m.alike(has, p) })
		}
	}
	picks := m.picker(s)
	return func(n Node, has netip.Prefix) bool {
		return has.IsSingleIP() && slices.Contains(n.Addrs, has.Addr()) && picks(&n)
	}
}

// PickSegments picks what is in a segment that is wanted.
func (m *Mesh) PickSegments(wanted func(policy.Segment) bool) Pick {
	return func(_ Node, has netip.Prefix) bool {
		e, ok := m.table.Get(has)
		return ok && e.class != nil && slices.ContainsFunc(e.class.zone.list(), wanted)
	}
}

// And picks what both pick.
func (p Pick) And(other Pick) Pick {
	if p == nil {
		return other
	}
	return func(n Node, has netip.Prefix) bool { return p(n, has) && other(n, has) }
}

// alike tells whether the policy does not tell a part of a prefix from the whole.
func (m *Mesh) alike(whole, part netip.Prefix) bool {
	a, ok := m.table.Get(whole)
	_, b, found := m.table.LookupPrefixLPM(part)
	return ok && found && a.class == b.class
}

// of gives those of a node's prefixes that are picked.
func (p Pick) of(n *node, all []netip.Prefix) []netip.Prefix {
	if p == nil {
		return all
	}
	return slices.DeleteFunc(all, func(has netip.Prefix) bool { return !p(n.Node, has) })
}

// any tells whether anything of a node is picked.
func (p Pick) any(n *node) bool {
	if p == nil {
		return true
	}
	for _, pc := range n.record.prefixes {
		if p(n.Node, pc.Prefix) {
			return true
		}
	}
	return false
}

// ReachBetween is Reach of what is picked. Its cost follows that, and not the mesh.
func (m *Mesh) ReachBetween(from, to Pick) iter.Seq[Access] {
	return func(yield func(Access) bool) {
		nodes := m.sortedNodes()
		wanted := make(map[*node]bool)
		for _, n := range nodes {
			wanted[n] = to.any(n)
		}
		for _, src := range nodes {
			if !from.any(src) {
				continue
			}
			peers := slices.DeleteFunc(m.peersOf(src), func(n *node) bool { return !wanted[n] })
			slices.SortFunc(peers, func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
			for _, dst := range peers {
				for _, a := range m.between(src, dst) {
					a.From, a.To = meet(from.of(src, a.From), to.of(dst, a.To))
					if len(a.From) > 0 && !yield(a) {
						return
					}
				}
			}
		}
	}
}
