package filter

import (
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/gaissmai/bart"
)

// home is what the rules know of a prefix.
type home struct {
	class  acl.Class
	index  uint32          // of the class
	holder int32           // index of the party that has it, or one of the negatives
	row    uint32          // in needs, of the party or of the seat
	seat   uint32          // number of the seat, from 1; nobodys: it is the party's own
	source uint64          // by which its limits are counted, if there are any
	bits   int16           // of the prefix; -1: not known
	until  [nearSets]int64 // as needs says
}

// One cache line: a flow that begins touches that of its peer.
const (
	_ = uint(unsafe.Sizeof(home{}) - 64)
	_ = uint(64 - unsafe.Sizeof(home{}))
)

// Holders that are no party.
const (
	self     int32 = 0
	nobody   int32 = -1 // no prefix covers the address
	unowned  int32 = -2 // in the mesh's ranges, and no peer has it
	unusable int32 = -3 // no address that a packet through the mesh may bear
)

// places finds the home of an address by its longest prefix. Most addresses of a
// mesh are prefixes of their own, longer than any other: those are found in one
// step, and this node's own, which every packet has at one end, in less.
type places struct {
	table bart.Table[int32]
	hosts hosts  // of table, the prefixes of one address
	own   []host // of hosts, the first few that are this node's
}

const fewHosts = 4 // looked at one after another

// put enters a home's prefix, which must not be there yet.
func (p *places) put(prefix netip.Prefix, home int, holder int32) {
	p.table.Insert(prefix, int32(home))
	if !prefix.IsSingleIP() {
		return
	}
	a := packet.AddrFrom(prefix.Addr())
	p.hosts.put(a, int32(home))
	if holder == self && len(p.own) < fewHosts {
		p.own = append(p.own, host{a, int32(home) + 1})
	}
}

func (p *places) find(a packet.Addr) (home int32, ok bool) {
	for i := range p.own {
		if p.own[i].addr == a {
			return p.own[i].home - 1, true
		}
	}
	if home, ok = p.hosts.find(a); ok {
		return home, true
	}
	return p.table.Lookup(a.IP())
}

// unusables are addresses that no policy can open: this host and this link, and
// the ways to write an IPv4 address as an IPv6 one, under which a rule about
// the former would not be asked.
func unusables() []string {
	return []string{
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16",
		"fe80::/10", "fec0::/10", "ff00::/8",
	}
}

// place gives a prefix to a holder, or to one of its seats.
func (b *compiler) place(holder int32, seat uint32, pc acl.PrefixClass) error {
	p := pc.Prefix
	if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		return fmt.Errorf("prefix %s is not in canonical form", p)
	}
	t := b.table
	if i, ok := t.places.table.Get(p); ok {
		if was := t.homes[i]; was.holder != holder || was.seat != seat || was.class != pc.Class {
			return fmt.Errorf("prefix %s is in the map twice, with different holders or classes", p)
		}
		return nil
	}
	index, ok := b.classes[pc.Class]
	if !ok {
		index = uint32(len(b.classes))
		b.classes[pc.Class] = index
	}
	b.house(p, home{class: pc.Class, index: index, holder: holder, seat: seat})
	return nil
}

// house puts a prefix that is not there yet.
func (b *compiler) house(p netip.Prefix, h home) {
	t := b.table
	h.bits = int16(p.Bits())
	t.places.put(p, len(t.homes), h.holder)
	t.homes, b.prefixes = append(t.homes, h), append(b.prefixes, p)
}

// reserved gives the mesh's ranges to nobody, and takes what no packet may bear
// from whoever has it.
func (b *compiler) reserved(mesh []netip.Prefix) error {
	t := b.table
	for _, p := range mesh {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return fmt.Errorf("mesh range %s is not in canonical form", p)
		}
		if _, ok := t.places.table.Get(p); !ok {
			b.house(p, home{holder: unowned})
		}
	}
	for _, text := range unusables() {
		p := netip.MustParsePrefix(text)
		for _, i := range t.places.table.Subnets(p) {
			t.homes[i].holder = unusable
		}
		if _, ok := t.places.table.Get(p); !ok {
			b.house(p, home{holder: unusable})
		}
	}
	return nil
}

// home gives the home of an address, or nil.
func (t *Table) home(a packet.Addr) *home {
	i, ok := t.places.find(a)
	if !ok {
		return nil
	}
	return &t.homes[i]
}

func (h *home) heldBy() int32 {
	if h == nil {
		return nobody
	}
	return h.holder
}

// ends are the homes of a flow's two addresses.
type ends struct {
	src, dst *home
}

// locate finds the ends of a new flow, and the reason why they cannot be its
// ends: a packet from the mesh must come from a peer and be for us, one to the
// mesh must come from us and be for a peer. Whom this node fronts counts as us too.
func (t *Table) locate(d Direction, src, dst packet.Addr) (ends, acl.Reason) {
	e := ends{t.home(src), t.home(dst)}
	from, to := e.src.heldBy(), e.dst.heldBy()
	if d == In {
		if from <= self || !t.ours(to, from) {
			return e, acl.NotOurs
		}
		return e, acl.Permitted
	}
	switch {
	case !t.ours(from, to):
		return e, acl.NotOurs
	case to == unowned:
		return e, acl.UnknownPeer
	case to <= self:
		return e, acl.NotOurs
	}
	return e, acl.Permitted
}

// peer gives the end that is not at this node.
func (e *ends) peer(d Direction) *home {
	if d == In {
		return e.src
	}
	return e.dst
}
