package filter

import (
	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// fragments remembers, for a short time, the datagrams whose first fragment
// passed, and the flow that each belongs to. A later fragment is judged as a
// packet of that flow, so it loses its right when the flow does.
//
// The table is small and has a fixed size. In each set of entries a peer may push
// out those of others only as long as it has no more than a fair part: not each of
// its addresses, of which a gateway has as many as it likes.
type fragments struct {
	seed seed
	sets [fragmentSets][fragmentWays]fragmentEntry
}

const (
	fragmentSets = 128 // a power of two
	fragmentWays = 8
	fragmentFair = 2 // entries that one peer may hold in a set

	disputed = 1 << 16 // in place of where later fragments begin: none can
)

type fragmentEntry struct {
	name   fragmentName
	payer  int32 // account of the peer whose flow it is
	flow   int32
	serial uint32 // of the flow, since its entry may come to hold another one
	start  int    // where later fragments begin: what the first one held is not overwritten
	until  int64  // time since boot
}

// fragmentName is what the fragments of a datagram have in common.
type fragmentName struct {
	src, dst packet.Addr
	id       uint32
	proto    acl.Protocol
	d        Direction
}

func nameOf(d Direction, p *packet.Packet) fragmentName {
	return fragmentName{p.Src, p.Dst, p.FragID, p.FragProto, d}
}

func (t *fragments) set(name *fragmentName) *[fragmentWays]fragmentEntry {
	k := key{name.src, name.dst, uint64(name.id)<<16 | uint64(name.proto)<<8 | uint64(name.d)}
	return &t.sets[t.seed.hash(&k)%fragmentSets]
}

// remember notes that the first fragment p passed in flow n, which is fl. If another
// flow has begun the same datagram, a receiver may take the rest for either's: there is
// none, as long as the first is remembered. Else what one flow may not, or has used up,
// would be had by the other's right.
func (t *fragments) remember(d Direction, p *packet.Packet, n int32, fl *flow, now int64) {
	name := nameOf(d, p)
	if e := t.find(&name, now); e != nil && (e.serial != fl.serial || e.start == disputed) {
		e.start = disputed
		return
	}
	e := victim(t.set(&name), &name, fl.account, now)
	*e = fragmentEntry{name: name, payer: fl.account, flow: n, serial: fl.serial, start: p.FragEnd, until: now + int64(fragmentLife)}
}

// victim chooses the entry to write over: the datagram's own, one that ended,
// else the oldest of the payer if it has its part, else the oldest of all.
func victim(set *[fragmentWays]fragmentEntry, name *fragmentName, payer int32, now int64) *fragmentEntry {
	var own, oldest *fragmentEntry
	held := 0
	for i := range set {
		e := &set[i]
		if e.name == *name || now >= e.until {
			return e
		}
		if oldest == nil || e.until < oldest.until {
			oldest = e
		}
		if e.payer == payer {
			held++
			if own == nil || e.until < own.until {
				own = e
			}
		}
	}
	if held >= fragmentFair {
		return own
	}
	return oldest
}

func (t *fragments) find(name *fragmentName, now int64) *fragmentEntry {
	set := t.set(name)
	for i := range set {
		if e := &set[i]; e.name == *name && now < e.until {
			return e
		}
	}
	return nil
}

// laterFragment judges a fragment without a transport header.
func (f *Filter) laterFragment(d Direction, p *packet.Packet) decision {
	name := nameOf(d, p)
	e := f.fragments.find(&name, f.now.Boot)
	if e == nil {
		return refuse(acl.NoFragment)
	}
	if p.FragStart < e.start {
		return refuse(acl.Malformed)
	}
	fl := f.flows.at(e.flow)
	if fl.serial != e.serial || f.now.Boot >= fl.idle || f.handed(fl, e.flow) {
		return refuse(acl.NoFragment)
	}
	return f.within(d, p, fl, e.flow)
}
