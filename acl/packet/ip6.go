package packet

import (
	"encoding/binary"

	"github.com/cordonmesh/cordon/acl"
)

const (
	header6 = 40

	nextHopByHop = 0
	nextRouting  = 43
	nextFragment = 44
	nextDestOpts = 60

	maxExtensions = 8 // RFC 8200 names seven, of which two are not ours to read

	moreFragments6 = 1
)

// network6 reads an IPv6 header (RFC 8200, section 3) and what extends it.
func (p *Packet) network6(b []byte, quoted bool) Fault {
	if len(b) < header6 {
		return Truncated
	}
	total := header6 + int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case total == header6 && b[6] == nextHopByHop:
		return Jumbo // RFC 2675, section 2: the length stands in an option
	case quoted && total > len(b):
		total = len(b)
	case total > len(b):
		return Truncated
	}
	p.Src, p.Dst = addr16(b[8:]), addr16(b[24:])
	if p.Src.Is4() || p.Dst.Is4() {
		return Mapped
	}
	p.Len, p.raw, p.transport = total, b[:total], header6
	return p.extensions(b[6], quoted)
}

// extensions walks the extension headers to the transport header, or to the
// first header that it does not know: that one's number is the protocol. A
// later fragment ends the walk, since what follows is not a header.
func (p *Packet) extensions(next byte, quoted bool) Fault {
	for n := 0; ; n++ {
		p.Proto = acl.Protocol(next)
		if !extends(next) {
			return Sound
		}
		if n == maxExtensions {
			return TooManyHeaders
		}
		if next == nextHopByHop && n > 0 {
			return BadHeaderOrder
		}
		b := p.raw[p.transport:]
		size, fault := p.extension(next, b, quoted)
		if fault != Sound {
			return fault
		}
		next = b[0]
		p.transport += size
		if p.Frag == LaterFragment {
			p.Proto = acl.Protocol(next)
			return Sound
		}
	}
}

func extends(next byte) bool {
	return next == nextHopByHop || next == nextRouting || next == nextFragment || next == nextDestOpts
}

// extension reads one extension header and gives its size in bytes.
func (p *Packet) extension(kind byte, b []byte, quoted bool) (int, Fault) {
	short := Truncated
	if p.Frag == FirstFragment {
		short = TinyFragment // RFC 7112, section 5
	}
	if len(b) < 8 {
		return 0, short
	}
	if kind == nextFragment {
		return 8, p.fragment6(b, quoted)
	}
	size := 8 + int(b[1])*8
	if size > len(b) {
		return 0, short
	}
	// Type 0 is forbidden (RFC 5095), and with segments left of any type the
	// destination that we judge would not be the one that is reached.
	if kind == nextRouting && (b[2] == 0 || b[3] != 0) {
		return 0, SourceRoute
	}
	return size, Sound
}

// fragment6 reads a fragment header (RFC 8200, section 4.5).
func (p *Packet) fragment6(b []byte, quoted bool) Fault {
	if p.Frag != Whole {
		return BadHeaderOrder
	}
	cut := binary.BigEndian.Uint16(b[2:])
	start, more := int(cut&^7), cut&moreFragments6 != 0
	if start == 0 && !more {
		return Sound
	}
	p.FragProto, p.FragID = acl.Protocol(b[0]), binary.BigEndian.Uint32(b[4:])
	return p.fragment(start, len(b)-8, more, quoted)
}
