package packet

import (
	"encoding/binary"

	"github.com/cordonmesh/cordon/acl"
)

const (
	headerTCP  = 20
	headerUDP  = 8
	headerSCTP = 12
	headerICMP = 4 // RFC 4443 promises no more; a Query or an Error has 8
)

// parseTransport gives the packet its shape.
func (p *Packet) parseTransport() Fault {
	if p.Frag == LaterFragment {
		p.Shape, p.SrcPort, p.DstPort, p.Type, p.Code = Later, 0, 0, 0, 0
		return Sound
	}
	b := p.raw[p.transport:]
	short := Truncated
	if p.Frag == FirstFragment {
		short = TinyFragment
	}
	switch p.Proto {
	case acl.TCP:
		if len(b) < headerTCP {
			return short
		}
		return p.tcp(b, short)
	case acl.UDP:
		if len(b) < headerUDP {
			return short
		}
		return p.udp(b)
	case acl.SCTP:
		if len(b) < headerSCTP {
			return short
		}
		p.ports(b)
		return Sound
	}
	if p.speaksICMP() {
		if len(b) < headerICMP {
			return short
		}
		return p.icmp(b, short)
	}
	p.opaque()
	return Sound
}

func (f *Flow) ports(b []byte) {
	f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	f.Shape, f.Type, f.Code = Ports, 0, 0
}

func (f *Flow) opaque() {
	f.Shape, f.SrcPort, f.DstPort, f.Type, f.Code = Opaque, 0, 0, 0, 0
}

func (p *Packet) tcp(b []byte, short Fault) Fault {
	size := int(b[12]>>4) * 4
	if size < headerTCP {
		return BadTransport
	}
	if size > len(b) {
		return short
	}
	p.ports(b)
	p.Flags = Flags(b[13])
	return Sound
}

func (p *Packet) udp(b []byte) Fault {
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < headerUDP {
		return BadTransport
	}
	if p.Frag == Whole && length > len(b) {
		return BadTransport
	}
	p.ports(b)
	return Sound
}

// speaksICMP reports whether the protocol is the ICMP of the packet's own
// family. The other one is nothing that a stack would answer: an unknown protocol.
func (f *Flow) speaksICMP() bool {
	if f.Src.Is4() {
		return f.Proto == acl.ICMP
	}
	return f.Proto == acl.ICMPv6
}

func (p *Packet) icmp(b []byte, short Fault) Fault {
	shape, query := p.kindICMP(b[0])
	if shape == Opaque {
		p.opaque()
		p.Type, p.Code = b[0], b[1]
		return Sound
	}
	if len(b) < 8 {
		return short
	}
	p.opaque()
	p.Shape, p.Type, p.Code = shape, query, b[1]
	if shape == Error {
		p.quote(b[8:])
		return Sound
	}
	id := binary.BigEndian.Uint16(b[4:])
	p.SrcPort, p.DstPort = id, id
	return Sound
}

// kindICMP sorts an ICMP type, and gives the type of the query for an answer.
// A redirect is no Error: it belongs to a flow, yet speaks about routes.
func (f *Flow) kindICMP(t uint8) (shape Shape, query uint8) {
	if f.Src.Is4() {
		switch t {
		case 8, 13, 15, 17: // echo, timestamp, information, address mask
			return Query, t
		case 0:
			return Answer, 8
		case 14, 16, 18:
			return Answer, t - 1
		case 3, 11, 12, 4: // unreachable, time exceeded, parameter problem, source quench
			return Error, t
		}
		return Opaque, t
	}
	switch t {
	case 128:
		return Query, t
	case 129:
		return Answer, 128
	case 1, 2, 3, 4: // unreachable, too big, time exceeded, parameter problem
		return Error, t
	}
	return Opaque, t
}

// quote reads the packet that an ICMP error complains of. RFC 792 promises its
// header and 8 bytes more. What cannot be read leaves Quoted Invalid: the error
// then belongs to no flow.
func (p *Packet) quote(b []byte) {
	var inner Packet
	if inner.network(b, true) != Sound || inner.Frag == LaterFragment || inner.Src.Is4() != p.Src.Is4() {
		return
	}
	t := inner.raw[inner.transport:]
	switch {
	case inner.Proto.HasPorts():
		if len(t) < 8 {
			return
		}
		inner.ports(t)
	case inner.speaksICMP():
		if len(t) < 8 || !inner.quotedICMP(t) {
			return
		}
	default:
		inner.opaque()
	}
	p.Quoted = inner.Flow
}

// quotedICMP reads the ICMP message that an error complains of. An error about
// an error must not exist (RFC 1122, section 3.2.2).
func (p *Packet) quotedICMP(t []byte) bool {
	shape, query := p.kindICMP(t[0])
	if shape == Error {
		return false
	}
	p.opaque()
	p.Shape, p.Type, p.Code = shape, query, t[1]
	if shape != Opaque {
		id := binary.BigEndian.Uint16(t[4:])
		p.SrcPort, p.DstPort = id, id
	}
	return true
}
