// Package packet is a view of one IPv4 or IPv6 packet, made without allocating:
// as much as a filter needs to judge it, and no more than the bytes prove.
//
// Its promises:
//
//   - A Packet that was not parsed, or could not be, has the [Shape] Invalid,
//     which is the zero value: a filter that forgets to look refuses it.
//   - Ports are read from the headers of TCP, UDP and SCTP alone, never from
//     the bytes of a later fragment or of a protocol that is not understood. An
//     unknown protocol keeps its own number, behind whatever extension headers.
//   - What two readers could understand differently is Invalid: headers cut in
//     two by fragmentation, fragments that may overlap a transport header, source
//     routes, IPv4 addresses in IPv6 form, lengths that do not add up.
//   - Parse reads only the bytes that it is given, whatever they say, and does
//     work in proportion to the headers, whose number is bounded.
//
// It also writes the two answers that tell a sender of a refusal at once: a TCP
// reset and an ICMP unreachable message. Whether an address may be where it
// stands, and how often to answer, is left to the filter. Header checksums are
// left to the receiving stack.
package packet

import "github.com/cordonmesh/cordon/acl"

// Shape says which kind of thing a flow, or a packet in it, is, and with it
// which of the other fields mean something.
type Shape uint8

// Every packet has one shape.
const (
	Invalid Shape = iota // not to be judged by anything else in the Packet
	Ports                // TCP, UDP or SCTP: SrcPort and DstPort are valid
	Query                // ICMP that asks for an answer: both ports are the identifier, Type is valid
	Answer               // ICMP that answers a Query: both ports are the identifier, Type is the query's
	Error                // ICMP error: Quoted is what it complains of, when that could be read
	Opaque               // anything else: ports are zero; Type is valid for ICMP
	Later                // a fragment without the transport header: only addresses and fragment fields are valid
)

// Flow is what names a conversation, as one of its packets shows it. It is
// comparable, and owns no memory.
type Flow struct {
	Src, Dst         Addr
	SrcPort, DstPort uint16
	Proto            acl.Protocol
	Shape            Shape
	Type             uint8 // ICMP type; in an Answer the type of the query, so that both name one flow
	Code             uint8 // ICMP code
}

// Flags are the flags of a TCP segment, as they stand in its header.
type Flags uint8

// The TCP flags that a filter acts upon.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Fragment says which part of a datagram a packet holds.
type Fragment uint8

// An IPv6 packet with a fragment header that says "all of it" is Whole (RFC 6946).
const (
	Whole Fragment = iota
	FirstFragment
	LaterFragment
)

// Packet is the view of one packet. One value can serve for many packets, one
// after another. It borrows the bytes given to Parse: the refusals that are
// written from it are valid only as long as those bytes are untouched.
type Packet struct {
	Flow
	Quoted Flow // valid if Shape is Error; its Shape is Invalid if the quotation could not be read
	Flags  Flags
	Frag   Fragment

	// Valid unless Frag is Whole. All fragments of one datagram agree on the
	// addresses, FragProto and FragID. The span is in bytes of the datagram.
	FragProto          acl.Protocol
	FragID             uint32
	FragStart, FragEnd int

	Len int // bytes of the packet by its own header, without what follows it

	raw       []byte // the packet, Len bytes
	transport int    // offset of the transport header in raw
}

// Parse reads the packet at the start of b, which may be longer than the
// packet. It returns Sound, or the fault for which the packet must be refused;
// p is then Invalid. It keeps b until the next Parse.
func (p *Packet) Parse(b []byte) Fault {
	p.Shape = Invalid
	p.Quoted.Shape = Invalid
	p.Frag, p.Flags, p.Len = Whole, 0, len(b)
	fault := p.network(b, false)
	if fault == Sound {
		fault = p.parseTransport()
	}
	if fault != Sound {
		p.Shape = Invalid
	}
	return fault
}

// network reads all headers up to the transport header. With quoted, the bytes
// are the start of a packet inside an ICMP error, and may end early.
func (p *Packet) network(b []byte, quoted bool) Fault {
	if len(b) == 0 {
		return Truncated
	}
	switch b[0] >> 4 {
	case 4:
		return p.network4(b, quoted)
	case 6:
		return p.network6(b, quoted)
	}
	return BadVersion
}
