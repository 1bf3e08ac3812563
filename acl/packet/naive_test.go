package packet_test

import (
	"net/netip"

	"github.com/cordonmesh/cordon/acl/packet"
)

// seen is what the slow and obvious parser says about a packet. It is written
// from the standards, field by field, with a mind to be read rather than fast.
type seen struct {
	shape            packet.Shape
	src, dst         netip.Addr
	proto            int
	srcPort, dstPort int
	icmpType         int
	flags            int
	frag             packet.Fragment
	fragProto        int
	fragID           int
	length           int
}

var refused = seen{shape: packet.Invalid}

func num(b []byte) int {
	n := 0
	for _, c := range b {
		n = n<<8 + int(c)
	}
	return n
}

func naive(b []byte) seen {
	s, body, ok := naiveNetwork(b)
	if !ok {
		return refused
	}
	if s.frag == packet.LaterFragment {
		s.shape = packet.Later
		return s
	}
	return naiveTransport(s, body)
}

func naiveNetwork(b []byte) (s seen, body []byte, ok bool) {
	if len(b) > 0 && b[0]>>4 == 4 {
		return naive4(b)
	}
	if len(b) > 0 && b[0]>>4 == 6 {
		return naive6(b)
	}
	return s, nil, false
}

func naive4(b []byte) (s seen, body []byte, ok bool) {
	if len(b) < 20 {
		return
	}
	header, total := int(b[0]%16)*4, num(b[2:4])
	if header < 20 || total < header || total > len(b) {
		return
	}
	for i := 20; i < header && b[i] != 0; {
		if b[i] == 1 {
			i++
			continue
		}
		if b[i] == 131 || b[i] == 137 || i+1 >= header || b[i+1] < 2 || i+int(b[i+1]) > header {
			return
		}
		i += int(b[i+1])
	}
	s.src, s.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	s.proto, s.length = int(b[9]), total
	body = b[header:total]
	offset, more := num(b[6:8])%8192*8, b[6]&0x20 != 0
	return naiveFragment(s, body, offset, more, s.proto, num(b[4:6]))
}

func naiveFragment(s seen, body []byte, offset int, more bool, proto, id int) (seen, []byte, bool) {
	if offset == 0 && !more {
		return s, body, true
	}
	s.frag, s.fragProto, s.fragID = packet.FirstFragment, proto, id
	if offset > 0 {
		s.frag = packet.LaterFragment
	}
	least := map[int]int{6: 20, 132: 12}[proto]
	switch {
	case len(body) == 0, more && len(body)%8 != 0, offset+len(body) > 65535, offset > 0 && offset < least:
		return s, nil, false
	}
	return s, body, true
}

func naive6(b []byte) (s seen, body []byte, ok bool) {
	if len(b) < 40 {
		return
	}
	total := 40 + num(b[4:6])
	s.src, s.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	if total > len(b) || total == 40 && b[6] == 0 || s.src.Is4In6() || s.dst.Is4In6() {
		return
	}
	s.length = total
	next, at := int(b[6]), 40
	for count := 0; ; count++ {
		s.proto = next
		if next != 0 && next != 43 && next != 44 && next != 60 {
			return s, b[at:total], true
		}
		if count == 8 || next == 0 && count > 0 || total-at < 8 {
			return s, nil, false
		}
		if next == 44 {
			if s.frag != packet.Whole {
				return s, nil, false
			}
			offset, more := num(b[at+2:at+4])/8*8, b[at+3]%2 == 1
			s, _, ok = naiveFragment(s, b[at+8:total], offset, more, int(b[at]), num(b[at+4:at+8]))
			if !ok {
				return s, nil, false
			}
			next, at = int(b[at]), at+8
			if s.frag == packet.LaterFragment {
				s.proto = next
				return s, nil, true
			}
			continue
		}
		if next == 43 && (b[at+2] == 0 || b[at+3] != 0) {
			return s, nil, false
		}
		next, at = int(b[at]), at+8+8*int(b[at+1])
		if at > total {
			return s, nil, false
		}
	}
}

func naiveTransport(s seen, b []byte) seen {
	least := map[int]int{6: 20, 17: 8, 132: 12}[s.proto]
	if s.proto == 1 && s.src.Is4() || s.proto == 58 && s.src.Is6() {
		return naiveICMP(s, b)
	}
	if least == 0 {
		s.shape = packet.Opaque
		return s
	}
	if len(b) < least {
		return refused
	}
	if s.proto == 6 && (b[12]>>4 < 5 || int(b[12]>>4)*4 > len(b)) {
		return refused
	}
	if s.proto == 17 && (num(b[4:6]) < 8 || s.frag == packet.Whole && num(b[4:6]) > len(b)) {
		return refused
	}
	if s.proto == 6 {
		s.flags = int(b[13])
	}
	s.shape, s.srcPort, s.dstPort = packet.Ports, num(b[0:2]), num(b[2:4])
	return s
}

func naiveICMP(s seen, b []byte) seen {
	if len(b) < 4 {
		return refused
	}
	queries := map[int]int{8: 0, 13: 14, 15: 16, 17: 18}
	errors := map[int]bool{3: true, 4: true, 11: true, 12: true}
	if s.proto == 58 {
		queries = map[int]int{128: 129}
		errors = map[int]bool{1: true, 2: true, 3: true, 4: true}
	}
	s.shape, s.icmpType = packet.Opaque, int(b[0])
	if errors[int(b[0])] {
		s.shape = packet.Error
	}
	for query, answer := range queries {
		if int(b[0]) == query || int(b[0]) == answer {
			s.shape, s.icmpType = packet.Query, query
			if int(b[0]) == answer {
				s.shape = packet.Answer
			}
			if len(b) >= 8 {
				s.srcPort, s.dstPort = num(b[4:6]), num(b[4:6])
			}
		}
	}
	if s.shape != packet.Opaque && len(b) < 8 {
		return refused
	}
	return s
}
