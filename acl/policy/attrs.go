package policy

import (
	"net/netip"
	"slices"
)

// NodeAttr gives attributes to nodes.
type NodeAttr struct {
	Pos    Position
	Target []Selector // by who nodes are, Any or Net; never empty
	Attrs  []string   // sorted, without duplicates; never empty
}

// nodeAttrs reads a list of {"target", "attr", "app", "ipPool"}. Any word is an
// attribute: programs look for those that they know.
func (r *ruleReader) nodeAttrs(section member) []NodeAttr {
	var all []NodeAttr
	elements := r.entries(section, "nodeAttrs", "entries")
	for i := range elements {
		if a := r.nodeAttr(&elements[i]); len(a.Target) > 0 && len(a.Attrs) > 0 {
			all = append(all, a)
		}
	}
	return all
}

func (r *ruleReader) nodeAttr(v *value) NodeAttr {
	fields := r.keyed(v, "an entry of nodeAttrs", attrKeys)
	a := NodeAttr{Pos: r.pos(v.at)}
	targets, attrs := r.list(fields, "target"), r.list(fields, "attr")
	r.expand(v.at, len(targets), 1, len(attrs))
	for _, it := range targets {
		s, bad := r.names.selector(it.text)
		if bad == nil && !s.isWho() && s.Kind != Any && s.Kind != Net {
			bad = complain("is no target of nodeAttrs", "name users, groups, tags, hosts, addresses or *")
		}
		if bad != nil {
			r.failAt(it.at, "target", it.text, bad)
			continue
		}
		a.Target = append(a.Target, s)
	}
	for _, it := range attrs {
		if it.text == "" {
			r.warn(it.at, "attr", "an attribute without a name says nothing")
			continue
		}
		a.Attrs = append(a.Attrs, it.text)
	}
	slices.Sort(a.Attrs)
	a.Attrs = slices.Compact(a.Attrs)
	r.ipPool(fields)
	return a
}

// ipPool reads the addresses out of which the targets should have theirs. We
// give out addresses otherwise, but a pool that could never be is a mistake.
func (r *ruleReader) ipPool(fields object) {
	items := r.list(fields, "ipPool")
	for _, it := range items {
		prefix, ok, bad := address(it.text)
		switch {
		case bad == nil && !ok:
			bad = complain("is no CIDR", "write it as 100.80.0.0/16")
		case bad == nil && isReserved(prefix):
			bad = complain("overlaps a reserved range", "leave out 100.100.0.0/24, 100.100.100.0/24 and 100.115.92.0/23")
		case bad == nil && !isPool(prefix):
			bad = judge("is outside of 100.64.0.0/10, out of which clients of the dialect have their addresses", "write such as 100.80.0.0/16")
		}
		if bad != nil {
			r.failAt(it.at, "ipPool", it.text, bad)
		}
	}
	if len(items) > 0 {
		r.warn(fields.member("ipPool").at, "ipPool", "has no effect here: nodes have their addresses out of the mesh's ranges")
	}
}

// isPool tells whether a pool is of addresses that stock clients can have.
func isPool(pool netip.Prefix) bool {
	all := netip.MustParsePrefix("100.64.0.0/10")
	return all.Contains(pool.Addr()) && pool.Bits() >= all.Bits()
}

// isReserved tells whether a pool overlaps addresses that stock clients keep for
// themselves.
func isReserved(pool netip.Prefix) bool {
	for _, reserved := range []string{"100.100.0.0/24", "100.100.100.0/24", "100.115.92.0/23"} {
		if netip.MustParsePrefix(reserved).Overlaps(pool) {
			return true
		}
	}
	return false
}
