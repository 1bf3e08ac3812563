package engine

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/stock"
)

// Stock is what this machine's admin says of stock peers: plain WireGuard clients
// that this node fronts. To all others they are behind it, so an approved route
// must hold their addresses, and the policy speaks of them by address.
type Stock struct {
	Prefixes []netip.Prefix // kept for stock peers; nothing else is behind them
	Peers    []stock.Peer   // whose addresses lie in Prefixes

	Heard map[key.TunnelPublic]netip.AddrPort // where they were last heard
}

// StockID gives the id by which a plane knows a stock peer. Those of nodes begin
// with "n-".
func StockID(p *stock.Peer) string { return "stock:" + p.Name }

// StockTrouble tells why a stock peer cannot be let in as things are, in words for
// the admin of this machine; "" if it can. Half a peer is none: one address that
// is not its own keeps it out.
func (in *Input) StockTrouble(p *stock.Peer) string {
	if in.Map.IsZero() {
		return "there is no map yet"
	}
	if who := in.keyOwner(p); who != "" {
		return "its PublicKey is that of " + who
	}
	for _, a := range p.Allowed {
		if why := in.prefixTrouble(a); why != "" {
			return why
		}
	}
	return ""
}

func (in *Input) keyOwner(p *stock.Peer) string {
	if !in.TunnelKey.IsZero() && p.Key == in.TunnelKey.Public() {
		return "this node itself"
	}
	for _, peer := range in.Map.Peers {
		if peer.TunnelKey == p.Key {
			return "the node " + peer.Name
		}
	}
	return ""
}

// prefixTrouble tells why a prefix is not this node's to give to a stock peer.
func (in *Input) prefixTrouble(a netip.Prefix) string {
	m := &in.Map
	if i := slices.IndexFunc(m.Self.Ranges, a.Overlaps); i >= 0 {
		return fmt.Sprintf("%s lies in the mesh's range %s, where the coordinator gives out the addresses", a, m.Self.Ranges[i])
	}
	if i := slices.IndexFunc(in.Local, a.Overlaps); i >= 0 {
		return fmt.Sprintf("%s is also this machine's own (%s)", a, in.Local[i])
	}
	bits := routed(m.Self.Routes, a)
	if bits < 0 {
		return fmt.Sprintf("no approved route of this node holds %s: `cordonctl route approve %s PREFIX`", a, m.Self.Name)
	}
	for _, peer := range m.Peers {
		if p, ok := anyOf(&peer, func(p netip.Prefix) bool { return p.Overlaps(a) && p.Bits() >= bits }); ok {
			return fmt.Sprintf("the node %s has %s", peer.Name, p)
		}
	}
	return ""
}

// anyOf finds among all that the map gives to a peer, without a list of it.
func anyOf(p *wire.PeerRecord, is func(netip.Prefix) bool) (netip.Prefix, bool) {
	for _, a := range p.Addresses {
		if one := netip.PrefixFrom(a, a.BitLen()); is(one) {
			return one, true
		}
	}
	for _, r := range p.Routes {
		if is(r) {
			return r, true
		}
	}
	for _, c := range p.Prefixes {
		if is(c.Prefix) {
			return c.Prefix, true
		}
	}
	return netip.Prefix{}, false
}

// routed gives the length of the most precise route that holds all of a prefix; -1
// if none does.
func routed(routes []netip.Prefix, a netip.Prefix) int {
	bits := -1
	for _, r := range routes {
		if r.Bits() <= a.Bits() && r.Overlaps(a) {
			bits = max(bits, r.Bits())
		}
	}
	return bits
}

// stockPeers gives the stock peers that can be let in.
func (in *Input) stockPeers() (list []plane.Peer) {
	m := &in.Map
	classes := owned(m.Self.Addresses, m.Self.Routes, m.Self.Prefixes)
	for i := range in.Stock.Peers {
		p := &in.Stock.Peers[i]
		if in.StockTrouble(p) != "" {
			continue
		}
		list = append(list, plane.Peer{
			ID: StockID(p), Name: p.Name, TunnelKey: p.Key, Allowed: p.Allowed,
			Prefixes: classesOf(classes, p.Allowed),
			Stock:    &plane.Stock{Endpoint: p.Endpoint, Keepalive: p.Keepalive, Heard: in.Stock.Heard[p.Key]},
		})
	}
	slices.SortFunc(list, func(a, b plane.Peer) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// classesOf gives what the map says of the prefixes and of what is in them.
func classesOf(all []acl.PrefixClass, prefixes []netip.Prefix) (list []acl.PrefixClass) {
	for _, p := range prefixes {
		exact := false
		for _, c := range all {
			if inside(c.Prefix, p) {
				list = append(list, c)
				exact = exact || c.Prefix == p
			}
		}
		if !exact {
			list = append(list, acl.PrefixClass{Prefix: p, Class: cover(all, p)})
		}
	}
	return list
}

func inside(p, around netip.Prefix) bool { return around.Bits() <= p.Bits() && around.Overlaps(p) }

// reserve puts what is kept for stock peers, of that which is behind this node,
// into no class: an address there that no stock peer has leads nowhere, least of
// all to the network that this machine is in.
func (in *Input) reserve(all []acl.PrefixClass) []acl.PrefixClass {
	for _, kept := range in.Stock.Prefixes {
		if routed(in.Map.Self.Routes, kept) < 0 || in.isElsewhere(kept) {
			continue
		}
		all = slices.DeleteFunc(all, func(c acl.PrefixClass) bool { return inside(c.Prefix, kept) })
		all = append(all, acl.PrefixClass{Prefix: kept})
	}
	slices.SortFunc(all, func(a, b acl.PrefixClass) int { return a.Prefix.Compare(b.Prefix) })
	return all
}

// isElsewhere tells whether the map gives just this prefix to another node.
func (in *Input) isElsewhere(kept netip.Prefix) bool {
	for _, p := range in.Map.Peers {
		if _, ok := anyOf(&p, func(q netip.Prefix) bool { return q == kept }); ok {
			return true
		}
	}
	return false
}
