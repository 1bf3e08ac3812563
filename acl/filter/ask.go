package filter

import (
	"net/netip"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// Pair is two addresses between which flows towards this node may begin.
type Pair struct {
	table *Table
	ends  ends
}

// Between makes a Pair, to ask a table about flows that nobody sends. Which peer
// has the source does not matter, as long as the table knows its class.
func (t *Table) Between(src, dst netip.Addr) Pair {
	return Pair{t, ends{t.home(packet.AddrFrom(src)), t.home(packet.AddrFrom(dst))}}
}

// Judge gives the verdict that a [Filter] gives about the first packet of such a
// flow. Port is that of the destination, without meaning for protocols that have
// none; ICMP and ICMPv6 stand for the echo request.
func (p Pair) Judge(proto acl.Protocol, port uint16, now Moment) acl.Verdict {
	if p.ends.dst.heldBy() != self || p.ends.src.heldBy() < self {
		return acl.Verdict{Reason: acl.NotOurs}
	}
	w := wish{proto: proto}
	switch {
	case proto == acl.TCP || proto == acl.UDP || proto == acl.SCTP:
		w.port = port
	case proto == acl.ICMP || proto == acl.ICMPv6:
		w.kind = wishAny
	default:
		w.kind = wishWhole
	}
	dec := p.table.match(In, p.ends, w, p.table.lease, &now)
	v := acl.Verdict{Allow: dec.reason == acl.Permitted, Reason: dec.reason}
	if dec.rule != noRule {
		v.Rule = p.table.rules[dec.rule].id
	}
	return v
}
