package packet

import (
	"encoding/binary"

	"github.com/cordonmesh/cordon/acl"
)

// TCP options (RFC 9293, section 3.1). End and no operation are as in IPv4.
const (
	optionMSS = 2
	sizeMSS   = 4
)

// ClampMSS lowers what a SYN says of the largest segment that its sender takes, so
// that no packet of the connection is longer than mtu bytes (RFC 9293, section
// 3.7.1; RFC 4459, section 3.2). It writes into the bytes that p was parsed from,
// and tells whether there was something to lower. Options that make no sense are
// left as they are.
func (p *Packet) ClampMSS(mtu int) bool {
	if p.Proto != acl.TCP || p.Shape != Ports || p.Flags&SYN == 0 || p.Frag != Whole {
		return false
	}
	headers := header4 + headerTCP
	if !p.Src.Is4() {
		headers = header6 + headerTCP
	}
	segment := p.raw[p.transport:]
	at, ok := findMSS(segment[headerTCP : int(segment[12]>>4)*4])
	if !ok {
		return false
	}
	value := segment[headerTCP+at:]
	was := binary.BigEndian.Uint16(value)
	now := mtu - headers
	if now < 1 || int(was) <= now {
		return false
	}
	binary.BigEndian.PutUint16(value, uint16(now))
	sum := segment[16:18]
	binary.BigEndian.PutUint16(sum, replaced(binary.BigEndian.Uint16(sum), was, uint16(now), (headerTCP+at)%2 != 0))
	return true
}

// findMSS gives where in a SYN's options the maximum segment size stands.
func findMSS(options []byte) (at int, ok bool) {
	for i := 0; i < len(options); {
		switch options[i] {
		case optionEnd:
			return 0, false
		case optionNop:
			i++
			continue
		}
		if i+1 >= len(options) || options[i+1] < 2 || i+int(options[i+1]) > len(options) {
			return 0, false
		}
		if options[i] == optionMSS {
			return i + 2, options[i+1] == sizeMSS
		}
		i += int(options[i+1])
	}
	return 0, false
}

// replaced gives the checksum after a 16-bit word was replaced (RFC 1624, section
// 3); odd: the word stands at an odd offset, so that its bytes are summed swapped.
func replaced(sum, was, now uint16, odd bool) uint16 {
	if odd {
		was, now = was<<8|was>>8, now<<8|now>>8
	}
	n := uint32(^sum) + uint32(^was) + uint32(now)
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return ^uint16(n)
}

// AppendTooBig appends to dst the ICMP message that tells the sender of p that no
// packet longer than mtu bytes goes to its destination (RFC 1191, section 4; RFC
// 4443, section 3.2), as if the destination had sent it. It returns dst as it was,
// and false, if p is none to be answered so, or may be fragmented on its way, or if
// mtu is below what IPv6 permits.
func AppendTooBig(dst []byte, p *Packet, mtu int) ([]byte, bool) {
	if !answerable(p) || p.Src.Is4() && p.raw[6]&0x40 == 0 || !p.Src.Is4() && mtu < minMTU6 {
		return dst, false
	}
	if p.Src.Is4() {
		return appendError(dst, p, acl.ICMP, 3, 4, uint32(mtu)), true
	}
	return appendError(dst, p, acl.ICMPv6, 2, 0, uint32(mtu)), true
}

// minMTU6 is the least MTU of a link that carries IPv6 (RFC 8200, section 5).
const minMTU6 = 1280
