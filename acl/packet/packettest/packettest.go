// Package packettest writes IP packets for tests: sound ones by default, which
// a test then breaks as it likes. It is plain and slow, and shares no code with
// the parser that it serves. It panics on nonsense, as only tests call it.
package packettest

import (
	"encoding/binary"
	"net/netip"
)

// IP gives a packet with the given protocol and transport bytes.
func IP(src, dst string, proto byte, transport []byte) []byte {
	return With(netip.MustParseAddr(src), netip.MustParseAddr(dst), proto, transport)
}

// With is IP for addresses that are parsed already.
func With(src, dst netip.Addr, proto byte, transport []byte) []byte {
	if src.Is4() {
		b := make([]byte, 20, 20+len(transport))
		b[0], b[8], b[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(transport)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(b[10:], ^Sum(b))
		return append(b, transport...)
	}
	b := make([]byte, 40, 40+len(transport))
	b[0], b[6], b[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(transport)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, transport...)
}

// TCP gives the bytes of a segment with a header of 20 bytes.
func TCP(srcPort, dstPort uint16, flags byte, seq, ack uint32, payload int) []byte {
	b := make([]byte, 20+payload)
	binary.BigEndian.PutUint16(b, srcPort)
	binary.BigEndian.PutUint16(b[2:], dstPort)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = 5<<4, flags
	return b
}

// UDP gives the bytes of a datagram.
func UDP(srcPort, dstPort uint16, payload int) []byte {
	b := make([]byte, 8+payload)
	binary.BigEndian.PutUint16(b, srcPort)
	binary.BigEndian.PutUint16(b[2:], dstPort)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}

// SCTP gives the bytes of a common header and payload.
func SCTP(srcPort, dstPort uint16, payload int) []byte {
	b := make([]byte, 12+payload)
	binary.BigEndian.PutUint16(b, srcPort)
	binary.BigEndian.PutUint16(b[2:], dstPort)
	return b
}

// ICMP gives the bytes of a message with an identifier, of either family.
func ICMP(kind, code byte, id uint16, payload int) []byte {
	b := make([]byte, 8+payload)
	b[0], b[1] = kind, code
	binary.BigEndian.PutUint16(b[4:], id)
	return b
}

// ICMPError gives the bytes of an error that quotes a packet.
func ICMPError(kind, code byte, quoted []byte) []byte {
	return append([]byte{kind, code, 0, 0, 0, 0, 0, 0}, quoted...)
}

// Cut splits a packet into fragments with at most size bytes of payload each;
// size is a multiple of 8. IPv6 packets must have no extension headers.
func Cut(packet []byte, id uint32, size int) [][]byte {
	var all [][]byte
	header, more := 20, uint16(0x2000)
	if packet[0]>>4 == 6 {
		header, more = 40, 1
	}
	body := packet[header:]
	for at := 0; at < len(body); at += size {
		end, flag := at+size, more
		if end >= len(body) {
			end, flag = len(body), 0
		}
		piece := append([]byte(nil), packet[:header]...)
		if header == 20 {
			binary.BigEndian.PutUint16(piece[2:], uint16(header+end-at))
			binary.BigEndian.PutUint16(piece[4:], uint16(id))
			binary.BigEndian.PutUint16(piece[6:], uint16(at/8)|flag)
		} else {
			extension := []byte{packet[6], 0, 0, 0, 0, 0, 0, 0}
			binary.BigEndian.PutUint16(extension[2:], uint16(at)|flag)
			binary.BigEndian.PutUint32(extension[4:], id)
			binary.BigEndian.PutUint16(piece[4:], uint16(8+end-at))
			piece[6] = 44
			piece = append(piece, extension...)
		}
		all = append(all, append(piece, body[at:end]...))
	}
	return all
}

// Sum is the ones' complement sum of RFC 1071; a sound header sums to 0xffff.
func Sum(b []byte) uint16 {
	n := 0
	for i, c := range b {
		if i%2 == 0 {
			n += int(c) << 8
		} else {
			n += int(c)
		}
	}
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return uint16(n)
}
