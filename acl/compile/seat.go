package compile

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// Seat is what a session has of its own at a node of several people: addresses from
// which flows begin, and to which no rule leads. The policy knows them as it would know
// addresses of the node.
type Seat struct {
	Session string // id, unique in the mesh
	Addrs   []netip.Addr
	Facts   []acl.FactEnd // of the node and of whoever has the seat
}

// Seated is a seat as others are told of it.
type Seated struct {
	Seat                       // with those facts that the policy asks for, sorted
	Prefixes []acl.PrefixClass // Addrs, but for one that no rule knows; sorted
}

func (s Seated) equal(o Seated) bool {
	return s.Session == o.Session && slices.Equal(s.Addrs, o.Addrs) && slices.Equal(s.Prefixes, o.Prefixes) && slices.EqualFunc(s.Facts, o.Facts, sameEnd)
}

// Seats gives the seats at a node, by session: what its peers are told of them, and
// what it is told itself.
func (m *Mesh) Seats(id string) []Seated {
	if n, ok := m.nodes[id]; ok {
		return n.record.seats
	}
	return nil
}

// seatsOf gives seats in canonical form. One without an address is none.
func seatsOf(in []Seat) []Seat {
	var all []Seat
	for _, s := range in {
		if s.Addrs = canonical(s.Addrs); len(s.Addrs) > 0 {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Seat) int { return strings.Compare(a.Session, b.Session) })
	return all
}

// canonical gives addresses sorted, without those that are no node's to have.
func canonical(in []netip.Addr) []netip.Addr {
	all := make([]netip.Addr, 0, len(in))
	for _, a := range in {
		if a.IsValid() && a.Zone() == "" && !a.Is4In6() {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// namedSeat gives the selectors that stand for all of the seat that has an address, since
// they name one of its addresses. Of its machine they need not know.
func (b *book) namedSeat(n *node, a netip.Addr) []selector {
	var all []selector
	for _, s := range n.Seats {
		if slices.Contains(s.Addrs, a) {
			all = append(all, b.named(s.Addrs)...)
		}
	}
	return all
}

// seatedAt works out what viewers should hold of a node's seats.
func (m *Mesh) seatedAt(n *node) []Seated {
	var all []Seated
	for _, s := range n.Seats {
		one := Seated{Seat: s}
		one.Facts = m.book.wanted(s.Facts)
		for _, a := range s.Addrs {
			if c := m.sole(a); c != nil {
				one.Prefixes = append(one.Prefixes, acl.PrefixClass{Prefix: single(a), Class: c.num})
			}
		}
		all = append(all, one)
	}
	return all
}

// sole gives the class of an address that one node has; nil if several do, or no rule
// knows it.
func (m *Mesh) sole(a netip.Addr) *class {
	if e, ok := m.table.Get(single(a)); ok && len(e.hosts) == 1 {
		return e.class
	}
	return nil
}

// seatClasses gives the classes that a node has at its seats alone. There are some
// where the policy names an address of a seat, or a network that holds it and not the
// node's own.
func (m *Mesh) seatClasses(n *node, own ...[]*class) []*class {
	var all []*class
	for _, s := range n.Seats {
		for _, a := range s.Addrs {
			c := m.sole(a)
			has := func(others []*class) bool { return slices.Contains(others, c) }
			if c != nil && !slices.ContainsFunc(own, has) {
				all = append(all, c)
			}
		}
	}
	return classSet(all)
}

// seatAt gives the seat that has an address of a node, nil if the node itself has it.
func (n *node) seatAt(a netip.Addr) *Seated {
	for i := range n.record.seats {
		if s := &n.record.seats[i]; slices.Contains(s.Addrs, a) {
			return s
		}
	}
	return nil
}

// unseated tells whether a seat is no more, or good for less: by its facts, or by a
// class that is good for less.
func unseated(was, is []Seated, lessens func(was, is acl.Class) bool) bool {
	return slices.ContainsFunc(was, func(old Seated) bool {
		i := slices.IndexFunc(is, func(s Seated) bool { return s.Session == old.Session && slices.Equal(s.Addrs, old.Addrs) })
		if i < 0 || shorter(old.Facts, is[i].Facts) {
			return true
		}
		return slices.ContainsFunc(old.Prefixes, func(p acl.PrefixClass) bool { return lessens(p.Class, classOf(is[i].Prefixes, p)) })
	})
}
