package engine

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// Input is what the node knows. The zero Input permits nothing.
type Input struct {
	Map        wire.Map // zero: none
	TunnelKey  key.TunnelPrivate
	ListenPort uint16
	Lease      time.Time // signed time of the last verified lease

	// Local are the destinations beneath the tunnel that the machine takes for
	// itself. A gateway stands for what is behind it, never for itself: a rule about
	// a prefix does not open the services of the gateway that has an address in it.
	Local []netip.Prefix

	Stock Stock // of this machine's admin, not of the map

	Now time.Time // policy time, by which peers and this node have their ends
}

// Desired is the whole state that follows from an Input. Each slice is sorted.
type Desired struct {
	Plane     plane.Config
	Paths     []PathPeer
	Addresses []netip.Prefix // of this node: one address each
	Routes    []netip.Prefix // into the mesh
	Seats     []plane.Seat   // accounts of this machine that have addresses of their own
	End       time.Time      // policy time at which the next one's time is over; zero: nobody's will be
}

// Derive says what must be done for in. It is pure. A peer that has not stated
// its keys yet cannot be talked to: it is left out, so that its address is
// refused at once rather than lost in silence. So is one whose time is over, and
// all of them once this node's own is.
func Derive(in *Input) Desired {
	m := &in.Map
	over := wire.Expired(m.Self.Until, in.Now)
	d := Desired{
		Addresses: hosts(m.Self.Addresses),
		Plane: plane.Config{
			Revision: m.Revision, TunnelKey: in.TunnelKey, ListenPort: in.ListenPort,
			Rules: m.Rules, Mesh: m.Self.Ranges, Lease: in.Lease,
			Self: plane.Self{
				Prefixes: in.reserve(except(owned(m.Self.Addresses, m.Self.Routes, m.Self.Prefixes), m.Self.Routes, m.Self.Ranges, in.Local)),
				Owner:    m.Self.Owner, Facts: m.Self.Facts,
			},
		},
	}
	d.Seats, d.Plane.Self.Seats = ownSeats(&m.Self)
	for _, id := range sortedIDs(m.Peers) {
		p := m.Peers[id]
		if over || wire.Expired(p.Until, in.Now) {
			continue
		}
		d.end(p.Until)
		if p.TunnelKey.IsZero() || p.PathKey.IsZero() {
			continue
		}
		d.Paths = append(d.Paths, PathPeer{ID: p.ID, NodeKey: p.NodeKey, PathKey: p.PathKey})
		d.Plane.Peers = append(d.Plane.Peers, plane.Peer{
			ID: p.ID, Name: p.Name, TunnelKey: p.TunnelKey,
			Allowed:  whole(seated(p.Addresses, p.Seats), p.Routes),
			Prefixes: owned(p.Addresses, p.Routes, p.Prefixes),
			Owner:    p.Owner, Facts: p.Facts, Seats: seats(p.Seats),
		})
	}
	if !over {
		d.end(m.Self.Until)
	}
	d.Routes = routes(m, d.Plane.Peers, in.Stock.Prefixes)
	d.Plane.Peers = append(d.Plane.Peers, in.stockPeers()...)
	return d
}

// end notes when somebody's time is over, if that is before the others'.
func (d *Desired) end(until time.Time) {
	if !until.IsZero() && (d.End.IsZero() || until.Before(d.End)) {
		d.End = until
	}
}

// routes are the mesh's ranges whole, so that an address that nobody owns
// reaches the filter and is refused at once, and what lies behind peers. What
// lies behind this node itself stays its own, whoever else offers it; but what is
// kept for stock peers is reached by tunnels alone, whether there is one or not.
func routes(m *wire.Map, peers []plane.Peer, kept []netip.Prefix) []netip.Prefix {
	list := slices.Concat(m.Self.Ranges, kept)
	for i := range peers {
		for _, route := range m.Peers[peers[i].ID].Routes {
			if !slices.Contains(m.Self.Routes, route) {
				list = append(list, route)
			}
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

// owned gives every address and route a place in the filter, those in no class
// too: that an address is a peer's is known even if no rule names it.
func owned(addresses []netip.Addr, behind []netip.Prefix, classes []acl.PrefixClass) []acl.PrefixClass {
	all := slices.Clone(classes)
	for _, prefix := range whole(addresses, behind) {
		if !slices.ContainsFunc(classes, func(c acl.PrefixClass) bool { return c.Prefix == prefix }) {
			all = append(all, acl.PrefixClass{Prefix: prefix, Class: cover(classes, prefix)})
		}
	}
	slices.SortFunc(all, func(a, b acl.PrefixClass) int { return a.Prefix.Compare(b.Prefix) })
	return all
}

// except puts what the machine takes for itself, of that which is behind it, into
// no class, so that no rule reaches it. Its addresses in the mesh are not meant,
// although a route to everywhere contains them.
func except(all []acl.PrefixClass, behind, ranges, local []netip.Prefix) []acl.PrefixClass {
	meshs := func(p netip.Prefix) bool {
		return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Bits() <= p.Bits() && r.Overlaps(p) })
	}
	for _, own := range local {
		if meshs(own) || !slices.ContainsFunc(behind, own.Overlaps) {
			continue
		}
		all = slices.DeleteFunc(all, func(c acl.PrefixClass) bool {
			return c.Prefix.Bits() >= own.Bits() && own.Overlaps(c.Prefix) && !meshs(c.Prefix)
		})
		all = append(all, acl.PrefixClass{Prefix: own})
	}
	slices.SortFunc(all, func(a, b acl.PrefixClass) int { return a.Prefix.Compare(b.Prefix) })
	return all
}

// cover is the class of the longest prefix around that one; zero if none.
func cover(classes []acl.PrefixClass, prefix netip.Prefix) (class acl.Class) {
	best := -1
	for _, c := range classes {
		if c.Prefix.Bits() <= prefix.Bits() && c.Prefix.Contains(prefix.Addr()) && c.Prefix.Bits() > best {
			best, class = c.Prefix.Bits(), c.Class
		}
	}
	return class
}

// whole gives addresses and routes as one sorted list.
func whole(addresses []netip.Addr, behind []netip.Prefix) []netip.Prefix {
	list := slices.Concat(hosts(addresses), behind)
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

func hosts(addresses []netip.Addr) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(addresses))
	for _, a := range addresses {
		list = append(list, netip.PrefixFrom(a, a.BitLen()))
	}
	return list
}

func sortedIDs(peers map[string]wire.PeerRecord) []string {
	ids := make([]string, 0, len(peers))
	for id := range peers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
