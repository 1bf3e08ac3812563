package userspace

import (
	"github.com/cordonmesh/cordon/acl/packet"
)

// leastSize is what passes to every peer as far as anybody knows: an underlay of
// 1,280 bytes less the headers of IPv6, UDP and WireGuard, padded to 16 (the
// WireGuard paper, section 5.4.6).
const leastSize = (1280 - 40 - 8 - 32) &^ 15

// Resized says how long a packet may be that passes to a peer in one piece, in
// bytes; 0: it is not known.
//
// Streams are fitted to it where they begin. What is longer all the same is
// answered as a router would, or passes where it permits that it be cut, or where
// IPv6 permits no smaller packet: package transport then sees to it.
func (p *Plane) Resized(id string, size int) {
	if m := p.guard.roster.Load().byID[id]; m != nil {
		m.size.Store(int32(size))
	}
}

// fits tells whether a packet may go to m as it is. If not, its sender is told, by
// way of answers.
func (g *guard) fits(m *member, p *packet.Packet, sender *answers) bool {
	size := int(m.size.Load())
	if p.Flags&packet.SYN != 0 {
		fitStream(p, size)
	}
	return size == 0 || p.Len <= size || !sender.tooBig(p, size)
}

// fitStream lowers the size of a stream's segments. While it is not known what
// passes, IPv6 takes the least: its packets are fitted here or never, since no
// router may ask for less than 1,280 bytes.
func fitStream(p *packet.Packet, size int) {
	if size == 0 && !p.Src.Is4() {
		size = leastSize
	}
	if size != 0 {
		p.ClampMSS(size)
	}
}

// tooBig tells whether p must not pass, and then tells its sender, if there is
// room for the answer.
func (a *answers) tooBig(p *packet.Packet, size int) bool {
	sent, room := a.send(func(buf []byte) ([]byte, bool) { return packet.AppendTooBig(buf, p, size) })
	return sent || !room
}
