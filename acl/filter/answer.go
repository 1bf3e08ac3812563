package filter

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// AppendAnswer appends to dst the packet that tells the sender of p at once that
// it was refused with the verdict v in direction d: it goes back the way that p
// came. It gives dst as it was, and false, if p is not to be answered, or too
// many were in the last second.
//
// TCP gets a reset, since every program understands it; the rest an ICMP message.
// For an address that nobody has that says "host unreachable", save for two: of a
// TCP connection that stood already every stack takes it for a passing trouble
// (RFC 5927), and Linux keeps it from a plain UDP socket, which it does tell of
// a prohibition. What is spoofed or makes no sense gets nothing: an answer would
// go to somebody else. Nor does a TCP connection that stood before there was a
// map: the map that comes may permit it, as after the loss of an interface.
//
// What came in is answered through the tunnel, to a peer whose own filter let it
// out: that peer's user would else wait for a timeout. See hears.
func (b Batch) AppendAnswer(dst []byte, d Direction, p *packet.Packet, v acl.Verdict) ([]byte, bool) {
	switch {
	case v.Allow, v.Reason == acl.Malformed, v.Reason == acl.NotOurs, v.Reason == acl.NoFragment:
		return dst, false
	case v.Reason == acl.NoMap && p.Proto == acl.TCP && !begins(p):
		return dst, false
	}
	before := len(dst)
	var ok bool
	switch {
	case v.Reason == acl.UnknownPeer && p.Proto != acl.UDP && (p.Proto != acl.TCP || begins(p)):
		dst, ok = packet.AppendUnreachable(dst, p, packet.NoHost)
	case p.Shape == packet.Ports && p.Proto == acl.TCP:
		dst, ok = packet.AppendReset(dst, p)
	default:
		dst, ok = packet.AppendUnreachable(dst, p, packet.Prohibited)
	}
	if !ok || d == In && !b.f.hears(p) || !b.f.answers[d&1].take(b.f.now.Boot) {
		return dst[:before], false
	}
	return dst, true
}

// hears reports whether the peer that sent p is to hear that it was refused. One
// that no rule lets speak to this node hears nothing at all, so it learns not even
// that the node is there; nor does a packet that nobody waits for an answer to.
//
// Each direction has its own limit, and each peer a tenth of what comes in: no
// peer can use up the answers that others wait for, least of all this machine's
// own users, nor make refusals a flood.
func (f *Filter) hears(p *packet.Packet) bool {
	if f.table == nil || p.Shape == packet.Answer {
		return false
	}
	e, why := f.table.locate(In, p.Src, p.Dst)
	if why != acl.Permitted || !f.table.maySpeak(e.src) {
		return false
	}
	return f.told[f.accountOf[e.src.holder]].take(f.now.Boot)
}

// peersShare is the part of a direction's answers that one peer may use.
const peersShare = 10

// bucket is a token bucket that holds what one second brings.
type bucket struct {
	every int64 // nanoseconds per token
	full  int64 // nanoseconds' worth of tokens
	empty int64 // time since boot at which the bucket was, or would have been, empty
	set   bool
}

func newBucket(perSecond int) bucket {
	return bucket{every: int64(time.Second) / int64(perSecond), full: int64(time.Second)}
}

func (b *bucket) take(now int64) bool {
	if !b.set || now-b.empty > b.full {
		b.empty, b.set = now-b.full, true
	}
	if now-b.empty < b.every {
		return false
	}
	b.empty += b.every
	return true
}
