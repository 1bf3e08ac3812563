package planetest

import (
	"encoding/binary"
	"net/netip"

	"github.com/cordonmesh/cordon/acl"
)

// TCP flags, as they stand in a segment.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// UDP gives a datagram with four bytes of payload.
func UDP(src, dst Address, from, to uint16) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], 12)
	copy(b[8:], "ping")
	return packet(src, dst, acl.UDP, b, 6)
}

// TCP gives a segment without payload; its sequence number is 1000, its
// acknowledgement 2000 if ACK is set.
func TCP(src, dst Address, from, to uint16, flags byte) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint32(b[4:], 1000)
	if flags&ACK != 0 {
		binary.BigEndian.PutUint32(b[8:], 2000)
	}
	b[12], b[13] = 5<<4, flags
	return packet(src, dst, acl.TCP, b, 16)
}

// Echo gives an echo request, or its answer.
func Echo(src, dst Address, id uint16, answer bool) []byte {
	b := make([]byte, 12)
	proto := acl.ICMP
	switch v6 := src.IP().Is6(); {
	case v6:
		proto, b[0] = acl.ICMPv6, 128
		if answer {
			b[0] = 129
		}
	case !answer:
		b[0] = 8
	}
	binary.BigEndian.PutUint16(b[4:], id)
	return packet(src, dst, proto, b, 2)
}

// Other gives a packet of a protocol without ports, whose payload looks like the
// start of a segment to that port.
func Other(src, dst Address, proto acl.Protocol, port uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 5000)
	binary.BigEndian.PutUint16(b[2:], port)
	b[12], b[13] = 5<<4, SYN
	return packet(src, dst, proto, b, -1)
}

// packet puts an IP header before b and a checksum at the offset sum of b.
func packet(src, dst Address, proto acl.Protocol, b []byte, sum int) []byte {
	from, to := src.IP(), dst.IP()
	if sum >= 0 {
		binary.BigEndian.PutUint16(b[sum:], ^fold(b, pseudo(from, to, proto, len(b))))
	}
	if from.Is4() {
		return append(header4(from, to, proto, len(b), 0, 0), b...)
	}
	h := make([]byte, 40)
	h[0], h[6], h[7] = 6<<4, byte(proto), 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(b)))
	copy(h[8:], from.AsSlice())
	copy(h[24:], to.AsSlice())
	return append(h, b...)
}

func header4(from, to netip.Addr, proto acl.Protocol, payload int, id, fragment uint16) []byte {
	h := make([]byte, 20)
	h[0], h[8], h[9] = 0x45, 64, byte(proto)
	binary.BigEndian.PutUint16(h[2:], uint16(20+payload))
	binary.BigEndian.PutUint16(h[4:], id)
	binary.BigEndian.PutUint16(h[6:], fragment)
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], ^fold(h, 0))
	return h
}

// Fragments cuts an IPv4 UDP datagram of 64 bytes to a port in two. The port is
// also the datagram's id.
func Fragments(src, dst Address, from, to uint16) (first, later []byte) {
	b := make([]byte, 64)
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], 64)
	const more = 1 << 13
	first = append(header4(src.IP(), dst.IP(), acl.UDP, 32, to, more), b[:32]...)
	later = append(header4(src.IP(), dst.IP(), acl.UDP, 32, to, 32/8), b[32:]...)
	return first, later
}

func pseudo(from, to netip.Addr, proto acl.Protocol, size int) uint32 {
	return uint32(fold(append(from.AsSlice(), to.AsSlice()...), uint32(proto)+uint32(size)))
}

// fold is the sum of RFC 1071 before it is inverted.
func fold(b []byte, start uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		start += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}
