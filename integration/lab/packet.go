//go:build linux

package lab

import (
	"encoding/binary"
	"net/netip"
)

// IP is a raw packet to be injected: any source, any protocol, any lie. The
// family is that of Src and Dst.
type IP struct {
	Src, Dst netip.Addr
	Protocol uint8 // IPv4 protocol, or the last IPv6 next header
	TTL      uint8 // 0: 64
	Payload  []byte

	// Extensions are IPv6 extension headers, between the header and the payload.
	Extensions []Extension

	// ID, Offset (bytes, a multiple of 8) and More make it a fragment. For IPv6
	// a fragment header is added, after Extensions, if Fragment is set.
	Fragment bool
	ID       uint32
	Offset   int
	More     bool
}

// Extension is an IPv6 extension header: its own number (0 hop-by-hop, 43
// routing, 60 destination options, ...) and its body without the first two
// bytes, which are filled in; the body is padded to 8 bytes.
type Extension struct {
	Number uint8
	Body   []byte
}

const fragmentHeader = 44 // RFC 8200, section 4.5

// Bytes lays the packet out. Checksums are right; everything else is as asked.
func (p IP) Bytes() []byte {
	if p.Dst.Is4() {
		return p.bytes4()
	}
	return p.bytes6()
}

func (p IP) ttl() uint8 {
	if p.TTL == 0 {
		return 64
	}
	return p.TTL
}

func (p IP) bytes4() []byte {
	b := make([]byte, 20, 20+len(p.Payload))
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(p.Payload)))
	binary.BigEndian.PutUint16(b[4:], uint16(p.ID))
	offset := uint16(p.Offset / 8)
	if p.More {
		offset |= 0x2000
	}
	binary.BigEndian.PutUint16(b[6:], offset)
	b[8], b[9] = p.ttl(), p.Protocol
	copy(b[12:], p.Src.AsSlice())
	copy(b[16:], p.Dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(b, 0))
	return append(b, p.Payload...)
}

func (p IP) bytes6() []byte {
	var chain []byte
	numbers := []uint8{}
	for _, e := range p.Extensions {
		numbers = append(numbers, e.Number)
	}
	if p.Fragment {
		numbers = append(numbers, fragmentHeader)
	}
	numbers = append(numbers, p.Protocol)
	for i, e := range p.Extensions {
		chain = append(chain, e.bytes(numbers[i+1])...)
	}
	if p.Fragment {
		chain = append(chain, p.fragment(p.Protocol)...)
	}
	b := make([]byte, 40, 40+len(chain)+len(p.Payload))
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(len(chain)+len(p.Payload)))
	b[6], b[7] = numbers[0], p.ttl()
	copy(b[8:], p.Src.AsSlice())
	copy(b[24:], p.Dst.AsSlice())
	return append(append(b, chain...), p.Payload...)
}

func (p IP) fragment(next uint8) []byte {
	h := make([]byte, 8)
	h[0] = next
	offset := uint16(p.Offset) &^ 7
	if p.More {
		offset |= 1
	}
	binary.BigEndian.PutUint16(h[2:], offset)
	binary.BigEndian.PutUint32(h[4:], p.ID)
	return h
}

func (e Extension) bytes(next uint8) []byte {
	size := (2 + len(e.Body) + 7) / 8 * 8
	h := make([]byte, size)
	h[0], h[1] = next, uint8(size/8-1)
	copy(h[2:], e.Body)
	return h
}

// Fragments cuts the packet's payload into fragments of at most size bytes each
// (a multiple of 8), in order.
func (p IP) Fragments(size int) []IP {
	var out []IP
	for at := 0; at < len(p.Payload); at += size {
		end := min(at+size, len(p.Payload))
		f := p
		f.Fragment, f.Offset, f.More = true, p.Offset+at, p.More || end < len(p.Payload)
		f.Payload = p.Payload[at:end]
		out = append(out, f)
	}
	return out
}

// UDP makes a datagram between two addresses.
func UDP(src, dst netip.AddrPort, data []byte) IP {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	b = append(b, data...)
	sum := checksum(b, pseudo(src.Addr(), dst.Addr(), 17, len(b)))
	if sum == 0 {
		sum = 0xffff // RFC 768: zero means that there is none
	}
	binary.BigEndian.PutUint16(b[6:], sum)
	return IP{Src: src.Addr(), Dst: dst.Addr(), Protocol: 17, Payload: b}
}

// The TCP flags that tests use.
const (
	FIN uint8 = 1
	SYN uint8 = 2
	RST uint8 = 4
	PSH uint8 = 8
	ACK uint8 = 16
)

// TCP makes a segment between two addresses.
func TCP(src, dst netip.AddrPort, flags uint8, seq, ack uint32, data []byte) IP {
	b := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[8:], ack)
	b[12], b[13] = 5<<4, flags
	binary.BigEndian.PutUint16(b[14:], 65535)
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[16:], checksum(b, pseudo(src.Addr(), dst.Addr(), 6, len(b))))
	return IP{Src: src.Addr(), Dst: dst.Addr(), Protocol: 6, Payload: b}
}

// Echo makes an ICMP or ICMPv6 echo request.
func Echo(src, dst netip.Addr, id, seq uint16, data []byte) IP {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	b = append(b, data...)
	p := IP{Src: src, Dst: dst, Protocol: 1, Payload: b}
	b[0] = 8
	var start uint32
	if dst.Is6() {
		p.Protocol, b[0] = 58, 128
		start = pseudo(src, dst, 58, len(b))
	}
	binary.BigEndian.PutUint16(b[2:], checksum(b, start))
	return p
}

// pseudo sums the pseudo header of RFC 9293 section 3.1 or RFC 8200 section 8.1.
func pseudo(src, dst netip.Addr, protocol uint8, length int) uint32 {
	sum := uint32(protocol) + uint32(length)
	for _, a := range [][]byte{src.AsSlice(), dst.AsSlice()} {
		for i := 0; i < len(a); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(a[i:]))
		}
	}
	return sum
}

// checksum is the Internet checksum of RFC 1071.
func checksum(b []byte, sum uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
