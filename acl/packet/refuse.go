package packet

import (
	"encoding/binary"

	"github.com/cordonmesh/cordon/acl"
)

// Unreachable says what an unreachable message tells the sender.
type Unreachable uint8

// Prohibited is for what a rule does not open; NoHost is for an address that
// nobody owns.
const (
	Prohibited Unreachable = iota
	NoHost
)

const (
	answerTTL = 64

	// A message may quote no more than makes 576 bytes in all (RFC 1812,
	// section 4.3.2.3), or the least MTU of IPv6 (RFC 4443, section 2.4).
	maxError4 = 576
	maxError6 = 1280
)

// AppendReset appends to dst the segment that resets the connection of the
// refused segment p, as if its destination had sent it (RFC 9293, section
// 3.10.7.1). It returns dst as it was, and false, if p is none to be answered so.
func AppendReset(dst []byte, p *Packet) ([]byte, bool) {
	if p.Shape != Ports || p.Proto != acl.TCP || !answerable(p) {
		return dst, false
	}
	var segment [headerTCP]byte
	b := segment[:]
	t := p.raw[p.transport:]
	binary.BigEndian.PutUint16(b[0:], p.DstPort)
	binary.BigEndian.PutUint16(b[2:], p.SrcPort)
	b[12] = headerTCP / 4 << 4
	if p.Flags&ACK != 0 {
		copy(b[4:8], t[8:12])
		b[13] = byte(RST)
	} else {
		binary.BigEndian.PutUint32(b[8:], binary.BigEndian.Uint32(t[4:])+segmentLength(p, t))
		b[13] = byte(RST | ACK)
	}
	dst, at := appendHeader(dst, p, acl.TCP, headerTCP)
	dst = append(dst, b...)
	binary.BigEndian.PutUint16(dst[at+16:], checksum(dst[at:], pseudo(p, acl.TCP, headerTCP)))
	return dst, true
}

// segmentLength counts what a segment takes of the sequence space.
func segmentLength(p *Packet, t []byte) uint32 {
	n := uint32(len(t) - int(t[12]>>4)*4)
	if p.Flags&SYN != 0 {
		n++
	}
	if p.Flags&FIN != 0 {
		n++
	}
	return n
}

// AppendUnreachable appends to dst the ICMP message that tells the sender of
// the refused packet p why, as if its destination had sent it. It returns dst
// as it was, and false, if p is none to be answered so.
func AppendUnreachable(dst []byte, p *Packet, why Unreachable) ([]byte, bool) {
	if !answerable(p) {
		return dst, false
	}
	switch {
	case p.Src.Is4() && why == NoHost:
		return appendError(dst, p, acl.ICMP, 3, 1, 0), true
	case p.Src.Is4():
		return appendError(dst, p, acl.ICMP, 3, 13, 0), true
	case why == NoHost:
		return appendError(dst, p, acl.ICMPv6, 1, 0, 0), true
	}
	return appendError(dst, p, acl.ICMPv6, 1, 1, 0), true
}

// appendError appends an ICMP error about p with what stands behind its checksum.
func appendError(dst []byte, p *Packet, proto acl.Protocol, kind, code byte, rest uint32) []byte {
	most := maxError4 - header4
	if proto == acl.ICMPv6 {
		most = maxError6 - header6
	}
	quoted := p.raw[:min(len(p.raw), most-8)]
	size := 8 + len(quoted)
	dst, at := appendHeader(dst, p, proto, size)
	dst = append(dst, kind, code, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, rest)
	dst = append(dst, quoted...)
	var sum uint32
	if proto == acl.ICMPv6 {
		sum = pseudo(p, proto, size)
	}
	binary.BigEndian.PutUint16(dst[at+2:], checksum(dst[at:], sum))
	return dst
}

// answerable reports whether p may be answered at all. RFC 1122, section
// 3.2.2 and RFC 4443, section 2.4: never an error, a later fragment, or what
// was sent to or by more than one host. Nor a reset: that would be answered in turn.
func answerable(p *Packet) bool {
	if p.Shape == Invalid || p.Shape == Error || p.Shape == Later {
		return false
	}
	if p.Shape == Ports && p.Proto == acl.TCP && p.Flags&RST != 0 {
		return false
	}
	if p.Shape == Opaque && p.speaksICMP() && (p.Src.Is4() && p.Type == 5 || !p.Src.Is4() && (p.Type < 128 || p.Type == 137)) {
		return false // redirects, and errors that are not known yet
	}
	return p.Src.single() && p.Dst.single()
}

// single reports whether the address can be that of one host.
func (a Addr) single() bool {
	if a.Is4() {
		first := byte(a.lo >> 24)
		return first != 0 && first != 127 && first < 224
	}
	loopback := a.hi == 0 && a.lo <= 1
	return !loopback && a.hi>>56 != 0xff
}

// appendHeader appends the IP header of an answer to p with size bytes after
// it, and gives the offset at which those begin.
func appendHeader(dst []byte, p *Packet, proto acl.Protocol, size int) ([]byte, int) {
	return appendFlowHeader(dst, &Flow{Src: p.Dst, Dst: p.Src, Proto: proto}, size)
}

// pseudo is the sum of the pseudo-header; swapping the addresses, as an answer
// does, leaves it as it is.
func pseudo(p *Packet, proto acl.Protocol, size int) uint32 {
	addresses := p.raw[8:40]
	if p.Src.Is4() {
		addresses = p.raw[12:20]
	}
	return sum(addresses, uint32(proto)+uint32(size))
}

// checksum is that of RFC 1071 over b, on top of an earlier sum.
func checksum(b []byte, from uint32) uint16 {
	n := sum(b, from)
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return ^uint16(n)
}

func sum(b []byte, from uint32) uint32 {
	for len(b) >= 2 {
		from += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		from += uint32(b[0]) << 8
	}
	return from
}
