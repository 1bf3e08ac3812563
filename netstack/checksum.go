package netstack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Merged segments have headers that nobody summed, so the stack beneath is told
// to trust checksums, and they are verified here, before merging. The tunnel
// proves that a packet is what its sender sealed; it cannot prove that the
// sender, or a router behind it, had not garbled it before.

// intact says that the IPv4 header and a whole TCP or UDP packet are as their
// checksums say. Fragments and packets with IPv6 extension headers pass unseen
// (ICMP the stack always verifies by itself).
func intact(p []byte) bool {
	switch {
	case len(p) >= header.IPv4MinimumSize && p[0]>>4 == 4:
		h := header.IPv4(p)
		if !h.IsValid(len(p)) || !h.IsChecksumValid() {
			return false
		}
		if !whole4(p) {
			return true
		}
		payload := p[h.HeaderLength():h.TotalLength()]
		return transportIntact(p[9], h.SourceAddress(), h.DestinationAddress(), payload)
	case len(p) >= header.IPv6MinimumSize && p[0]>>4 == 6:
		h := header.IPv6(p)
		if !h.IsValid(len(p)) {
			return false
		}
		payload := p[header.IPv6MinimumSize:][:h.PayloadLength()]
		return transportIntact(p[6], h.SourceAddress(), h.DestinationAddress(), payload)
	}
	return false
}

func transportIntact(proto uint8, src, dst tcpip.Address, payload []byte) bool {
	switch proto {
	case protoTCP:
		if len(payload) < header.TCPMinimumSize {
			return false
		}
	case protoUDP:
		if len(payload) < header.UDPMinimumSize {
			return false
		}
		// RFC 768: the sender made none. RFC 8200, 8.1 forbids that in IPv6.
		if binary.BigEndian.Uint16(payload[6:]) == 0 {
			return src.Len() == netip.IPv4Unspecified().BitLen()/8
		}
	default:
		return true
	}
	sum := header.PseudoHeaderChecksum(tcpip.TransportProtocolNumber(proto), src, dst, uint16(len(payload)))
	return checksum.Checksum(payload, sum) == 0xffff
}
