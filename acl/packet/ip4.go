package packet

import (
	"encoding/binary"

	"github.com/cordonmesh/cordon/acl"
)

const (
	header4 = 20

	moreFragments4 = 0x2000
	offset4        = 0x1fff

	optionEnd         = 0
	optionNop         = 1
	optionLooseRoute  = 131
	optionStrictRoute = 137

	maxDatagram = 65535
)

// network4 reads an IPv4 header (RFC 791, section 3.1).
func (p *Packet) network4(b []byte, quoted bool) Fault {
	if len(b) < header4 {
		return Truncated
	}
	start := int(b[0]&15) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case start < header4 || total < start:
		return BadLength
	case start > len(b):
		return Truncated
	case quoted && total > len(b):
		total = len(b)
	case total > len(b):
		return Truncated
	}
	if start > header4 && routed(b[header4:start]) {
		return SourceRoute
	}
	p.Src, p.Dst, p.Proto = addr4(b[12:]), addr4(b[16:]), acl.Protocol(b[9])
	p.Len, p.raw, p.transport = total, b[:total], start
	if cut := binary.BigEndian.Uint16(b[6:]); cut&(moreFragments4|offset4) != 0 {
		p.FragProto, p.FragID = p.Proto, uint32(binary.BigEndian.Uint16(b[4:]))
		return p.fragment(int(cut&offset4)*8, total-start, cut&moreFragments4 != 0, quoted)
	}
	return Sound
}

// routed reports whether options hold a source route, or cannot be read: the
// stack behind us might find one where we find nonsense.
func routed(options []byte) bool {
	for len(options) > 0 {
		switch options[0] {
		case optionEnd:
			return false
		case optionNop:
			options = options[1:]
			continue
		case optionLooseRoute, optionStrictRoute:
			return true
		}
		if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
			return true
		}
		options = options[options[1]:]
	}
	return false
}

// fragment notes which part of a datagram the packet is: size bytes at start.
func (p *Packet) fragment(start, size int, more, quoted bool) Fault {
	p.Frag = FirstFragment
	if start > 0 {
		p.Frag = LaterFragment
	}
	p.FragStart, p.FragEnd = start, start+size
	if quoted {
		return Sound
	}
	if size == 0 || more && size%8 != 0 || p.FragEnd > maxDatagram {
		return BadFragment
	}
	if start > 0 && start < headerSize(p.FragProto) {
		return Overlap
	}
	return Sound
}

// headerSize is the least that a transport header of the protocol takes: no
// honest sender cuts a datagram within it.
func headerSize(proto acl.Protocol) int {
	switch proto {
	case acl.TCP:
		return headerTCP
	case acl.SCTP:
		return headerSCTP
	}
	return 8
}
