package filter

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet"
)

// A TCP segment that belongs to no flow and begins none is of a connection that stood
// before this filter, or that it has forgotten, or its sender made it up: to find, by
// the resets that come back, what listens where no SYN of theirs may go.
//
// So it passes if its sender may open that connection, who then gains nothing by it.
// If only the other end may, more than the sender's word is needed. The stack of this
// machine knows its connections, and is asked. Of what is behind this machine nobody
// can be asked: the sender is believed for a while after the filter has begun, if no
// rule forbids the way that the segment goes. In that while a scan finds what it would
// have found at any time before, and nothing by which a connection could be opened.

// Stands tells whether a TCP connection stands that may have begun in a direction, and
// whether that is known. It is called with the filter's lock held: it must be quick,
// and not call the filter.
type Stands func(own, peer netip.AddrPort, begun Direction) (stands, known bool)

const (
	// believed is how long a sender is believed. A segment without an answer is sent
	// again within two minutes (Linux; RFC 6298 has nobody give up to less than one),
	// so by then whatever is in use was heard of.
	believed = 3 * time.Minute

	// asksPerPeer is how often in a second one peer can make us ask, which costs ten
	// times what a verdict does.
	asksPerPeer = 1000
)

// takeUp judges a TCP segment from the middle of a connection. If both ends may have
// opened it, the lower port is more likely the service.
func (f *Filter) takeUp(d Direction, p *packet.Packet, k *hashed) (decision, int32) {
	dec := f.ask(&k.key, d)
	if dec.permits() && p.SrcPort >= p.DstPort {
		return f.admit(d, p, k, dec, guessed)
	}
	back := d.reverse()
	other := f.ask(&k.key, back)
	switch {
	case other.permits() && !dec.permits() && !f.mayAsk(&dec):
		other.reason = acl.Throttled // no answer: the connection may be a real one
		return other, noFlow
	case other.permits() && (dec.permits() || f.stood(&k.key, back, &dec)):
		return f.admit(back, p, k, other, guessed)
	case dec.permits():
		return f.admit(d, p, k, dec, guessed)
	}
	return dec, noFlow
}

// stood reports whether a connection may be taken for one that began in a direction,
// though the rules refuse one in the other.
func (f *Filter) stood(k *key, begun Direction, refused *decision) bool {
	if f.stands != nil {
		own := netip.AddrPortFrom(k.own.IP(), k.ownPort())
		peer := netip.AddrPortFrom(k.peer.IP(), k.peerPort())
		if stands, known := f.stands(own, peer, begun); known {
			return stands
		}
	}
	return refused.reason != acl.Forbidden && f.now.Boot-f.began < int64(believed)
}

// mayAsk takes one of the questions that the sender of a refused segment can have us
// ask; of this machine's own, the one to whom it goes.
func (f *Filter) mayAsk(refused *decision) bool {
	who := refused.ends.src
	if who.holder == self {
		who = refused.ends.dst
	}
	return f.stands == nil || f.asked[f.accountOf[who.holder]].take(f.now.Boot)
}
