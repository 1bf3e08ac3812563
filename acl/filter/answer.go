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
// out: that peer's user would else wait for a timeout. See limits.
func (b Batch) AppendAnswer(dst []byte, d Direction, p *packet.Packet, v acl.Verdict) ([]byte, bool) {
	switch {
	case v.Allow, v.Reason == acl.Malformed, v.Reason == acl.NotOurs, v.Reason == acl.NoFragment:
		return dst, false
	case v.Reason == acl.Throttled:
		return dst, false // an answer would end what is only to be slower
	case v.Reason == acl.NoMap && p.Proto == acl.TCP && !begins(p):
		return dst, false
	}
	limits, ok := b.f.limits(d, p)
	if !ok || !limits.hold(b.f.now.Boot) {
		return dst, false // before the work of writing it: what is refused may be a flood
	}
	before := len(dst)
	switch {
	case v.Reason == acl.UnknownPeer && p.Proto != acl.UDP && (p.Proto != acl.TCP || begins(p)):
		dst, ok = packet.AppendUnreachable(dst, p, packet.NoHost)
	case p.Shape == packet.Ports && p.Proto == acl.TCP:
		dst, ok = packet.AppendReset(dst, p)
	default:
		dst, ok = packet.AppendUnreachable(dst, p, packet.Prohibited)
	}
	if !ok {
		return dst[:before], false
	}
	limits.take()
	return dst, true
}

// limits gives what bounds the answers to p, and false if whoever sent it is not
// to hear of its refusal. A peer that no rule lets speak to this node hears nothing
// at all, so it learns not even that the node is there, but for whom this node called;
// nor does anybody hear of a packet that itself was an answer.
//
// Each direction has a limit of its own, and each peer a tenth of what comes in:
// no peer can use up the answers that others wait for, least of all this machine's
// own users, nor make refusals a flood. TCP has limits of its own: its user waits for
// the answer, while a program may send datagrams on and on that are refused.
func (f *Filter) limits(d Direction, p *packet.Packet) (limits, bool) {
	if d == Out {
		return f.limitsOut(p), true
	}
	if f.table == nil || p.Shape == packet.Answer {
		return limits{}, false
	}
	e, why := f.table.locate(In, p.Src, p.Dst)
	if why != acl.Permitted || !f.table.maySpeak(e.src) && !f.called(p) {
		return limits{}, false
	}
	return f.limitsOf(p, e.src.holder), true
}

// called reports whether a packet from the mesh is of a flow that began here and has lost
// its right since. Its peer's node may not know of that: it is not told of a sign-out here
// while the coordinator is away.
func (f *Filter) called(p *packet.Packet) bool {
	k := f.flows.seed.hashed(keyOf(In, &p.Flow))
	fl, _ := f.flows.find(&k)
	return fl != nil && fl.state == revoked && fl.origin == Out
}

// limitsOut are those of this machine, and of what is behind it. Whom this node
// fronts hears as its devices do, and within its share, as peers do.
func (f *Filter) limitsOut(p *packet.Packet) limits {
	if f.table != nil && f.table.fronts {
		if h := f.table.home(p.Src).heldBy(); f.table.fronted(h) {
			return f.limitsOf(p, h)
		}
	}
	return limits{f.answers[Out].of(p), nil}
}

// limitsOf are those of a peer, within what comes in.
func (f *Filter) limitsOf(p *packet.Packet, peer int32) limits {
	return limits{f.answers[In].of(p), f.told[f.accountOf[peer]].of(p)}
}

// buckets bound answers to connections, and to the rest.
type buckets [2]bucket

func newBuckets(perSecond int) buckets { return buckets{newBucket(perSecond), newBucket(perSecond)} }

func (b *buckets) of(p *packet.Packet) *bucket {
	if p.Proto == acl.TCP {
		return &b[0]
	}
	return &b[1]
}

// limits are the buckets that an answer takes a token from.
type limits struct {
	all *bucket
	one *bucket // of the peer; nil: of this machine
}

func (l limits) hold(now int64) bool { return l.all.holds(now) && (l.one == nil || l.one.holds(now)) }

func (l limits) take() {
	l.all.spend()
	if l.one != nil {
		l.one.spend()
	}
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
	if !b.holds(now) {
		return false
	}
	b.spend()
	return true
}

// holds reports whether there is a token, which spend then takes.
func (b *bucket) holds(now int64) bool {
	if !b.set || now-b.empty > b.full {
		b.empty, b.set = now-b.full, true
	}
	return now-b.empty >= b.every
}

func (b *bucket) spend() { b.empty += b.every }
