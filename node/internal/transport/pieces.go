package transport

import (
	"encoding/binary"
	"net/netip"
)

// On IPv6 no router makes a packet smaller (RFC 8200 section 5), and what does not
// pass a path whole is lost. A tunnel must carry packets of 1,280 bytes all the
// same, so the datagrams in which these are, and that a path is known not to carry,
// leave in fragments (RFC 2473 section 7.1).

const (
	pieceSize    = 1280 // what every link carries, in bytes with the header
	headerSize   = 40
	fragmentSize = 8 // of the fragment header
	udpSize      = 8

	nextUDP, nextFragment = 17, 44
	hopLimit              = 64
	// pieceLoad is what of a UDP datagram a fragment carries: a multiple of 8 in all
	// but the last (RFC 8200 section 4.5).
	pieceLoad = (pieceSize - headerSize - fragmentSize) &^ 7
)

// pieces is a UDP datagram over IPv6 on its way out in fragments, which take turns
// in one buffer.
type pieces struct {
	buf     [pieceSize]byte
	udp     [udpSize]byte
	payload []byte
	sent    int // of the datagram with its header
}

// begin takes the next datagram. Its payload is not copied. It must be longer than
// a fragment, and no longer than UDP allows. The fragments of a datagram share an
// id, which nobody else should guess (RFC 7739).
func (p *pieces) begin(from, to netip.AddrPort, payload []byte, id uint32) {
	p.payload, p.sent = payload, 0
	src, dst := from.Addr().As16(), to.Addr().As16()
	size := uint16(udpSize + len(payload))
	binary.BigEndian.PutUint16(p.udp[0:], from.Port())
	binary.BigEndian.PutUint16(p.udp[2:], to.Port())
	binary.BigEndian.PutUint16(p.udp[4:], size)
	binary.BigEndian.PutUint16(p.udp[6:], 0)

	sum := add(uint64(size)+nextUDP, src[:])
	sum = add(add(add(sum, dst[:]), p.udp[:]), payload)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum == 0xffff {
		sum = 0 // sent as 0xffff: without a checksum UDP is discarded (RFC 8200 section 8.1)
	}
	binary.BigEndian.PutUint16(p.udp[6:], ^uint16(sum))

	p.buf = [pieceSize]byte{0: 6 << 4, 6: nextFragment, 7: hopLimit, headerSize: nextUDP}
	copy(p.buf[8:], src[:])
	copy(p.buf[24:], dst[:])
	binary.BigEndian.PutUint32(p.buf[headerSize+4:], id)
}

// next gives the next fragment as an IPv6 packet, which the one after it
// overwrites; nil: there is none.
func (p *pieces) next() []byte {
	total := udpSize + len(p.payload)
	if p.sent == total {
		return nil
	}
	head := p.buf[:headerSize+fragmentSize]
	load := min(pieceLoad, total-p.sent)
	more := uint16(0)
	if p.sent+load < total {
		more = 1
	}
	binary.BigEndian.PutUint16(head[4:], uint16(fragmentSize+load))
	binary.BigEndian.PutUint16(head[headerSize+2:], uint16(p.sent)|more)
	out, left := p.buf[:len(head)+load], p.buf[len(head):len(head)+load]
	if p.sent == 0 {
		left = left[copy(left, p.udp[:]):]
	}
	copy(left, p.payload[max(p.sent-udpSize, 0):])
	p.sent += load
	return out
}

// add adds bytes to a sum of 16-bit words (RFC 1071); only the last of several may
// have an odd length.
func add(sum uint64, b []byte) uint64 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}
