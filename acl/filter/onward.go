package filter

import (
	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// A fronted party has its tunnel with this node alone: to this node it is a peer,
// and to all others it is behind this node, as a device on a gateway's network is.
// What it sends to another peer comes in by one tunnel and goes on by another, and
// what it is sent likewise. Such a packet is judged once, as if the fronted party
// stood behind: inwards towards it, outwards from it. So a flow between the two is
// one flow, under the rules that the map gives the gateway, and whatever ends a
// right ends it.

// Onward judges a packet that came from a peer, which may be for this node, or for
// another peer if one of the two is fronted. It tells in which direction it was
// judged, and whether it goes on to a peer.
func (b Batch) Onward(p *packet.Packet) (v acl.Verdict, d Direction, on bool) {
	if b.f.table == nil || !b.f.table.fronts {
		return b.In(p), In, false
	}
	if d, on = b.f.table.course(p.Src, p.Dst); d == Out {
		return b.out(p), d, on
	}
	return b.In(p), d, on
}

// Again judges a packet once more that is on its way to a peer, and was permitted by
// other rules than those of now.
func (b Batch) Again(p *packet.Packet) acl.Verdict {
	if t := b.f.table; t != nil && t.fronts {
		if d, on := t.course(p.Src, p.Dst); on && d == In {
			return b.In(p)
		}
	}
	return b.out(p)
}

// course gives the direction of a packet that came from a peer, and whether it is
// for another one.
func (t *Table) course(src, dst packet.Addr) (d Direction, on bool) {
	from, to := t.home(src).heldBy(), t.home(dst).heldBy()
	switch {
	case to == unowned && t.fronted(from):
		return Out, true // its sender hears that nobody has the address, as any device behind
	case from <= self || to <= self || from == to:
		return In, false
	case t.fronted(from) && t.fronted(to):
		// Each is behind for the other: any order will do that both ways agree on.
		return direction(src.Less(dst)), true
	}
	return direction(t.fronted(from)), t.fronted(from) || t.fronted(to)
}

func direction(out bool) Direction {
	if out {
		return Out
	}
	return In
}

// fronted tells whether a holder is a fronted party.
func (t *Table) fronted(holder int32) bool { return holder > self && t.holders[holder].fronted }

// ours tells whether a holder stands at this node's end of a flow with another.
func (t *Table) ours(holder, other int32) bool {
	return holder == self || holder != other && t.fronted(holder)
}

// own gives the end that is this node, or that it fronts.
func (e *ends) own(d Direction) *home {
	if d == In {
		return e.dst
	}
	return e.src
}

// payer gives the party in whose share a flow is: the peer, or the fronted party,
// so that no such device uses up what others have.
func (e *ends) payer(d Direction) *home {
	if own := e.own(d); own.heldBy() > self {
		return own
	}
	return e.peer(d)
}
