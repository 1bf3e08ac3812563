package compile

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
)

// node is a node of the directory, with what was last told of it.
type node struct {
	Node      // as put; addresses and routes in canonical form
	selectors []selector

	// What was last told. It lags behind Node until the turn's end.
	record  record
	profile *profile // nil until told
	seat    int      // index in profile.nodes

	// Marks of a turn.
	touched  uint64 // the turn in which it was touched last
	changed  uint64 // the turn in which its record changed last
	viewed   uint64 // the turn in which it got a view
	view     int    // index of that view
	leaving  bool
	standing uint64 // stamp for telling two sets apart
}

// record is what others are told of a node.
type record struct {
	name     string
	owner    acl.Owner
	prefixes []acl.PrefixClass
}

func (r record) equal(o record) bool {
	return r.name == o.name && r.owner == o.owner && slices.Equal(r.prefixes, o.prefixes)
}

// profile is a set of classes that nodes have. Its nodes share one rule set.
type profile struct {
	key     string
	classes []*class
	nodes   []*node
	rules   *acl.RuleSet // nil until somebody asks
	stale   uint64       // the turn in which its rules changed last
	mark    uint64
}

// become takes on what the directory says. Invalid and IPv4-mapped addresses
// and default routes are dropped; what is nobody's stays denied.
func (n *node) become(in Node, b *book) {
	n.Node = in
	n.Tags = slices.Clone(in.Tags)
	n.Addrs = make([]netip.Addr, 0, len(in.Addrs))
	for _, a := range in.Addrs {
		if a.IsValid() && a.Zone() == "" && !a.Is4In6() {
			n.Addrs = append(n.Addrs, a)
		}
	}
	n.Routes = make([]netip.Prefix, 0, len(in.Routes))
	for _, p := range in.Routes {
		if p.IsValid() && p.Bits() > 0 && !p.Addr().Is4In6() {
			n.Routes = append(n.Routes, p.Masked())
		}
	}
	slices.SortFunc(n.Addrs, netip.Addr.Compare)
	slices.SortFunc(n.Routes, comparePrefix)
	n.Addrs, n.Routes = slices.Compact(n.Addrs), slices.Compact(n.Routes)
	n.selectors = b.of(n.Node)
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// recordOf works out what viewers should hold of a node.
func (m *Mesh) recordOf(n *node) record {
	r := record{name: n.Name}
	if n.User != "" && len(n.Tags) == 0 {
		r.owner = ownerOf(n.User)
	}
	r.prefixes = make([]acl.PrefixClass, 0, len(n.Addrs)+len(n.Routes))
	for _, a := range n.Addrs {
		if e, ok := m.table.Get(single(a)); ok && e.class != nil && len(e.hosts) == 1 {
			r.prefixes = append(r.prefixes, acl.PrefixClass{Prefix: single(a), Class: e.class.num})
		}
	}
	for _, route := range n.Routes {
		r.prefixes = m.appendRoute(r.prefixes, n, route)
	}
	if len(n.Routes) > 0 {
		slices.SortFunc(r.prefixes, func(a, b acl.PrefixClass) int { return comparePrefix(a.Prefix, b.Prefix) })
		r.prefixes = slices.Compact(r.prefixes)
	}
	return r
}

// appendRoute adds a route and those prefixes inside it that are of another
// class than what is around them. The address of a node is left out: a router
// must not speak with the rights of a node that it might stand in front of. So
// is what another router carries more precisely: a prefix has one owner.
func (m *Mesh) appendRoute(all []acl.PrefixClass, n *node, route netip.Prefix) []acl.PrefixClass {
	var outer []acl.PrefixClass
	var carried []carrier
	for prefix, e := range m.table.Subnets(route) {
		for len(carried) > 0 && !covers(carried[len(carried)-1].prefix, prefix) {
			carried = carried[:len(carried)-1]
		}
		if len(e.routers) > 0 {
			carried = append(carried, carrier{prefix, slices.Contains(e.routers, n)})
		}
		if e.class == nil || len(e.hosts) > 0 || !carried[len(carried)-1].own {
			continue
		}
		for len(outer) > 0 && !covers(outer[len(outer)-1].Prefix, prefix) {
			outer = outer[:len(outer)-1]
		}
		pc := acl.PrefixClass{Prefix: prefix, Class: e.class.num}
		if len(outer) == 0 || outer[len(outer)-1].Class != pc.Class || len(e.routers) > 0 {
			all = append(all, pc)
		}
		if !prefix.IsSingleIP() {
			outer = append(outer, pc)
		}
	}
	return all
}

// carrier is a route, and whether the router at hand is among those who carry it.
type carrier struct {
	prefix netip.Prefix
	own    bool
}

// settle makes r what viewers hold of the node, and moves it to its profile.
func (n *node) settle(m *Mesh, r record) {
	if n.record.owner != r.owner || n.profile == nil {
		m.disown(n)
		if r.owner != 0 {
			m.byOwner[r.owner] = append(m.byOwner[r.owner], n)
		}
	}
	n.record = r
	if p := m.profileFor(r.prefixes); p != n.profile {
		m.unseat(n)
		n.profile, n.seat = p, len(p.nodes)
		p.nodes = append(p.nodes, n)
	}
}

// disown takes a node out of the list of its owner.
func (m *Mesh) disown(n *node) {
	owned := m.byOwner[n.record.owner]
	if i := slices.Index(owned, n); i >= 0 {
		owned = slices.Delete(owned, i, i+1)
	}
	if len(owned) == 0 {
		delete(m.byOwner, n.record.owner)
		return
	}
	m.byOwner[n.record.owner] = owned
}

// unseat takes a node out of its profile, and drops the profile after its last.
func (m *Mesh) unseat(n *node) {
	p := n.profile
	if p == nil {
		return
	}
	last := p.nodes[len(p.nodes)-1]
	p.nodes[n.seat], last.seat = last, n.seat
	p.nodes = p.nodes[:len(p.nodes)-1]
	n.profile = nil
	if len(p.nodes) > 0 {
		return
	}
	delete(m.profiles, p.key)
	for _, c := range p.classes {
		i := slices.Index(c.profiles, p)
		c.profiles = slices.Delete(c.profiles, i, i+1)
	}
}

// profileFor gives the profile of a set of prefixes.
func (m *Mesh) profileFor(prefixes []acl.PrefixClass) *profile {
	nums := make([]acl.Class, len(prefixes))
	for i, pc := range prefixes {
		nums[i] = pc.Class
	}
	slices.Sort(nums)
	nums = slices.Compact(nums)
	key := make([]byte, 0, 8*len(nums))
	for _, num := range nums {
		key = binary.BigEndian.AppendUint64(key, uint64(num))
	}
	if p, ok := m.profiles[string(key)]; ok {
		return p
	}
	p := &profile{key: string(key)}
	for _, num := range nums {
		p.classes = append(p.classes, m.byNum[num])
	}
	for _, c := range p.classes {
		c.profiles = append(c.profiles, p)
	}
	m.profiles[p.key] = p
	return p
}
