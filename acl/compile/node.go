package compile

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/policy"
)

// node is a node of the directory, with what was last told of it.
type node struct {
	touched uint64 // the turn in which it was touched last
	apart   uint64 // the turn in which it stood apart last
	sight   sight
	pair    int // index of its pair, while two meshes are compared
	leaving bool

	*said

	// What was last told. It lags behind what is said until the turn's end.
	record  record
	profile *profile // nil until told
	slot    int      // index in profile.nodes
}

// said is what the directory says of a node, as the book reads it.
type said struct {
	Node                     // as put; addresses and routes in canonical form
	defaults  []netip.Prefix // approved default routes; not among Routes
	selectors []selector
	ways      []int32                     // numbers of the via lists that name one of its tags
	tagged    map[netip.Prefix][]selector // its devices, with those of their tags
}

// record is what others are told of a node.
type record struct {
	name     string
	owner    acl.Owner
	prefixes []acl.PrefixClass
	facts    []acl.FactEnd // of those that the policy asks for, sorted
	seats    []Seated      // by session
}

func (r record) equal(o record) bool {
	return r.name == o.name && r.owner == o.owner && slices.Equal(r.prefixes, o.prefixes) && slices.EqualFunc(r.facts, o.facts, sameEnd) &&
		slices.EqualFunc(r.seats, o.seats, Seated.equal)
}

// profile is what the rules can tell of nodes. Its nodes share one rule set.
type profile struct {
	key     string
	classes []*class // of addresses, of routes and of seats
	here    []*class // without those of seats alone: to where rules lead
	standing
	nodes []*node
	ids   []string // theirs, in their order; changes hold the list, so that it may grow and is never written over
	mark  uint64

	// What they enforce, of both ways and by way; nil until somebody asks.
	set    *Set
	rules  [2]*direction
	sheets [2]*sheet

	stale  uint64 // the turn in which its rules changed last
	heard  uint64 // the turn in which it heard news last
	crowd  int    // index of the crowd that did
	parted uint64 // the turn in which one of its nodes stood apart last
	sight  sight
}

// rewrite has the profile's rules made anew from what the policy says.
func (p *profile) rewrite() { p.set, p.rules, p.sheets = nil, [2]*direction{}, [2]*sheet{} }

// standing is where a node stands, for the parts that ask for more than a class.
type standing struct {
	addrs, routes []*class
	seats         []*class // that are no others': from there flows begin, and none leads there
	exit          bool     // it has a default route
	ways          []int32  // via lists that name one of its tags
}

// read takes what the directory says. Invalid and IPv4-mapped addresses are dropped;
// what is nobody's stays denied.
func (b *book) read(in Node) *said {
	s := &said{Node: in}
	s.Tags = policy.TagNames(in.Tags)
	s.Addrs, s.Seats = canonical(in.Addrs), seatsOf(in.Seats)
	s.Routes = make([]netip.Prefix, 0, len(in.Routes))
	for _, p := range in.Routes {
		switch {
		case !p.IsValid() || p.Addr().Is4In6():
		case p.Bits() == 0:
			s.defaults = append(s.defaults, p.Masked())
		default:
			s.Routes = append(s.Routes, p.Masked())
		}
	}
	s.Elected = slices.Clone(in.Elected)
	for i, p := range s.Elected {
		s.Elected[i] = p.Masked()
	}
	slices.SortFunc(s.Routes, comparePrefix)
	slices.SortFunc(s.defaults, comparePrefix)
	s.Routes, s.defaults = slices.Compact(s.Routes), slices.Compact(s.defaults)
	s.selectors, s.ways, s.tagged = b.of(s.Node), b.waysOf(s.Node), b.devicesOf(s.Node)
	return s
}

func comparePrefix(a, b netip.Prefix) int {
	if order := a.Addr().Compare(b.Addr()); order != 0 {
		return order
	}
	return cmp.Compare(a.Bits(), b.Bits())
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// recordOf works out what viewers should hold of a node.
func (m *Mesh) recordOf(n *node) record {
	r := record{name: n.Name, facts: m.book.wanted(n.Facts), seats: m.seatedAt(n)}
	if n.User != "" && len(n.Tags) == 0 {
		r.owner = ownerOf(n.User)
	}
	r.prefixes = make([]acl.PrefixClass, 0, len(n.Addrs)+len(n.Routes))
	for _, a := range n.Addrs {
		if c := m.sole(a); c != nil {
			r.prefixes = append(r.prefixes, acl.PrefixClass{Prefix: single(a), Class: c.num})
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

// standingOf works out where a node stands. A route brings in every class inside
// it, also of what another router carries more precisely: a rule about that lands
// on both.
func (m *Mesh) standingOf(n *node) standing {
	s := standing{exit: len(n.defaults) > 0, ways: n.ways}
	for _, a := range n.Addrs {
		if c := m.sole(a); c != nil {
			s.addrs = append(s.addrs, c)
		}
	}
	for _, route := range n.Routes {
		s.routes = m.classesIn(s.routes, route)
	}
	s.addrs, s.routes = classSet(s.addrs), classSet(s.routes)
	s.seats = m.seatClasses(n, s.addrs, s.routes)
	return s
}

// classesIn adds the classes of a route and of what is inside it, but for the
// addresses of nodes: nobody stands in front of those.
func (m *Mesh) classesIn(all []*class, route netip.Prefix) []*class {
	for _, e := range m.table.Subnets(route) {
		if e.class != nil && len(e.hosts) == 0 {
			all = append(all, e.class)
		}
	}
	return all
}

// classSet sorts in place and drops duplicates.
func classSet(all []*class) []*class {
	slices.SortFunc(all, byNumber)
	return slices.Compact(all)
}

// key gives a standing as a map's key.
func (s *standing) key() string {
	key := make([]byte, 0, 8*(len(s.addrs)+len(s.routes)+len(s.seats))+4*len(s.ways)+5)
	for _, classes := range [][]*class{s.addrs, s.routes, s.seats} {
		key = binary.AppendUvarint(key, uint64(len(classes)))
		for _, c := range classes {
			key = binary.BigEndian.AppendUint64(key, uint64(c.num))
		}
	}
	for _, way := range s.ways {
		key = binary.AppendUvarint(key, uint64(way))
	}
	return string(strconv.AppendBool(key, s.exit))
}

// settle makes r what viewers hold of the node, and moves it to its profile.
func (n *node) settle(m *Mesh, r record, s standing) {
	if n.record.owner != r.owner || n.profile == nil {
		m.disown(n)
		if r.owner != 0 {
			m.byOwner[r.owner] = append(m.byOwner[r.owner], n)
		}
	}
	n.record = r
	if p := m.profileFor(s); p != n.profile {
		m.dismiss(n)
		if p.exit {
			m.exits = append(m.exits, n)
		}
		n.profile, n.slot = p, len(p.nodes)
		p.nodes, p.ids = append(p.nodes, n), append(p.ids, n.ID)
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

// dismiss takes a node out of its profile, and drops the profile after its last.
func (m *Mesh) dismiss(n *node) {
	p := n.profile
	if p == nil {
		return
	}
	end := len(p.nodes) - 1
	last := p.nodes[end]
	p.ids = slices.Clone(p.ids)
	p.nodes[n.slot], p.ids[n.slot], last.slot = last, last.ID, n.slot
	p.nodes, p.ids = p.nodes[:end], p.ids[:end]
	n.profile = nil
	if p.exit {
		m.exits = slices.DeleteFunc(m.exits, func(o *node) bool { return o == n })
	}
	if len(p.nodes) > 0 {
		return
	}
	delete(m.profiles, p.key)
	for _, c := range p.here {
		i := slices.Index(c.profiles, p)
		c.profiles = slices.Delete(c.profiles, i, i+1)
	}
	for _, c := range p.seats {
		i := slices.Index(c.seated, p)
		c.seated = slices.Delete(c.seated, i, i+1)
	}
}

// profileFor gives the profile of a standing.
func (m *Mesh) profileFor(s standing) *profile {
	key := s.key()
	if p, ok := m.profiles[key]; ok {
		return p
	}
	p := &profile{key: key, standing: s, here: classSet(slices.Concat(s.addrs, s.routes))}
	p.classes = p.here
	if len(s.seats) > 0 {
		p.classes = classSet(slices.Concat(p.here, s.seats))
	}
	for _, c := range p.here {
		c.profiles = append(c.profiles, p)
	}
	for _, c := range s.seats {
		c.seated = append(c.seated, p)
	}
	m.profiles[p.key] = p
	return p
}
