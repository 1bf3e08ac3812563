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
	if !ok || !b.ShouldAnswer(d) {
		return dst[:before], false
	}
	return dst, true
}

// ShouldAnswer reports whether a packet that was refused in a direction may be
// answered by a reset or an ICMP message, so that refusals cannot be made a
// flood. Each direction has its own limit: no peer can use up the answers that
// this machine's own users are waiting for.
func (b Batch) ShouldAnswer(d Direction) bool { return b.f.answers[d&1].take(b.f.now.Boot) }

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
