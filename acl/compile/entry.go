package compile

import (
	"net/netip"
	"slices"
)

// entry is one prefix that matters: a node has or routes it, it is one of the
// mesh's ranges, or the policy names it.
type entry struct {
	literals []selector // of the policy's names that hold it as a whole
	inRange  bool
	exits    []*node // of a default route: the nodes that have it
	hosts    []*node // whose address it is, or a seat's there: one, or it is nobody's
	routers  []*node // who routes it
	vouched  []*node // whose device it is
	class    *class  // nil: no selector matches
}

// entry gives the entry of a prefix and makes it if need be.
func (m *Mesh) entry(prefix netip.Prefix) *entry {
	if e, ok := m.table.Get(prefix); ok {
		return e
	}
	e := &entry{}
	m.table.Insert(prefix, e)
	return e
}

// nodes gives the list of those that are something to the prefix.
func (e *entry) nodes(are standsFor) *[]*node {
	switch are {
	case hostOf:
		return &e.hosts
	case routerOf:
		return &e.routers
	case voucherOf:
		return &e.vouched
	}
	return &e.exits
}

func (e *entry) needless() bool {
	return len(e.literals) == 0 && !e.inRange && len(e.hosts) == 0 && len(e.routers) == 0 && len(e.vouched) == 0 && len(e.exits) == 0
}

// own gives the selectors that match a prefix by itself, whatever is around it.
// An address that two nodes claim is neither's: who could say whose rights it has?
func (m *Mesh) own(prefix netip.Prefix, e *entry) []selector {
	all := append(make([]selector, 0, len(e.literals)+2), e.literals...)
	if e.inRange || len(e.routers) > 0 {
		all = append(all, m.book.anySrc)
	}
	if len(e.hosts) > 0 || len(e.routers) > 0 || len(e.exits) > 0 {
		all = append(all, m.book.anyDst)
	}
	if len(e.hosts) == 1 {
		all = append(append(all, e.hosts[0].selectors...), m.book.namedSeat(e.hosts[0], prefix.Addr())...)
	}
	return sortedSet(all)
}

// agreed gives what all gateways say of a device that they vouch for, of those
// through whom it is reached. Whoever routes it more precisely than they do could
// else speak with its rights.
func (e *entry) agreed(prefix netip.Prefix, routers []*node) []selector {
	var said []selector
	first := true
	for _, n := range e.vouched {
		switch tags := n.tagged[prefix]; {
		case !slices.Contains(routers, n):
		case first:
			said, first = tags, false
		case !slices.Equal(tags, said):
			return nil
		}
	}
	return said
}

// nest is an entry with the prefixes inside it still to come.
type nest struct {
	prefix  netip.Prefix
	sign    []selector
	vouched []selector // those of the device's tags, besides
	routers []*node    // of the nearest route around it
	around  []*node    // who routes it, or something around it
	ours    bool       // a machine's of the mesh, who has it or may have it one day
}

// within gives the nest of an entry inside another. A node's address, and what is
// routed more precisely, is no part of a device around it. What is routed inside the mesh's
// range is none of its machines, but for those that have an address there.
func (m *Mesh) within(outer nest, prefix netip.Prefix, e *entry) nest {
	n := nest{prefix, union(outer.sign, m.own(prefix, e)), outer.vouched, outer.routers, outer.around, outer.ours}
	if len(e.routers) > 0 {
		n.routers, n.vouched, n.ours = e.routers, nil, false
		n.around = slices.Concat(outer.around, e.routers)
	}
	n.ours = n.ours || e.inRange || len(e.hosts) > 0
	if len(e.hosts) > 0 {
		n.vouched = nil
		return n
	}
	n.vouched = union(n.vouched, e.agreed(prefix, n.routers))
	return n
}

// around gives the nest of the nearest entry that encloses prefix.
func (m *Mesh) around(prefix netip.Prefix) nest {
	type one struct {
		prefix netip.Prefix
		entry  *entry
	}
	var all []one
	for outer, e := range m.table.Supernets(prefix) {
		if outer != prefix {
			all = append(all, one{outer, e})
		}
	}
	var n nest
	for _, o := range slices.Backward(all) { // the widest first
		n = m.within(n, o.prefix, o.entry)
	}
	return n
}

// sign computes the signatures of prefix and all inside it anew, and touches
// the nodes of each entry that got another class.
func (t *turn) sign(prefix netip.Prefix) {
	outer := []nest{t.m.around(prefix)}
	for inner, e := range t.m.table.Subnets(prefix) {
		outer = t.signOne(outer, inner, e)
	}
}

// signAll does so for the whole table.
func (t *turn) signAll() {
	outer := []nest{{}}
	for prefix, e := range t.m.table.AllSorted() {
		outer = t.signOne(outer, prefix, e)
	}
}

// signOne signs an entry below the nests that may enclose it, innermost last.
// Prefixes come in order, so an outer one comes before those inside.
func (t *turn) signOne(outer []nest, prefix netip.Prefix, e *entry) []nest {
	for len(outer) > 1 && !covers(outer[len(outer)-1].prefix, prefix) {
		outer = outer[:len(outer)-1]
	}
	n := t.m.within(outer[len(outer)-1], prefix, e)
	sign := union(n.sign, n.vouched)
	if !n.ours {
		sign = t.m.book.behind(sign)
	}
	if c := t.m.classFor(sign); c != e.class {
		t.reclass(e, c)
		t.touchNodes(e.hosts)
		t.touchNodes(n.around)
	}
	if prefix.IsSingleIP() {
		return outer
	}
	return append(outer, n)
}

// behind marks a signature as one of what stands behind gateways, where that matters.
func (b *book) behind(sign []selector) []selector {
	if b.beyond == unused || !slices.ContainsFunc(sign, func(s selector) bool { return b.spares[s] }) {
		return sign
	}
	return union(sign, []selector{b.beyond})
}

// covers tells whether outer holds all of inner.
func covers(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// union joins two sorted sets.
func union(a, b []selector) []selector {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	all := make([]selector, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		next := min(a[0], b[0])
		if a[0] == next {
			a = a[1:]
		}
		if b[0] == next {
			b = b[1:]
		}
		all = append(all, next)
	}
	return append(append(all, a...), b...)
}
