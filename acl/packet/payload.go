package packet

import "github.com/cordonmesh/cordon/acl"

// Payload gives how many bytes a TCP segment or a UDP datagram that was parsed and is
// whole carries; 0 for every other packet.
func (p *Packet) Payload() int {
	if p.Shape != Ports || p.Frag != Whole {
		return 0
	}
	header := headerSize(p.Proto)
	switch p.Proto {
	case acl.UDP:
	case acl.TCP:
		header = int(p.raw[p.transport+12]>>4) * 4
	default:
		return 0
	}
	return max(0, p.Len-p.transport-header)
}
