package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Find looks for the TCP socket that gets what a peer sends to an address of the stack,
// and tells whether it is one of a connection between the two, or one that listens.
func (s *Stack) Find(own, peer netip.AddrPort) (connected, listens bool) {
	id := stack.TransportEndpointID{
		LocalAddress: fromNetip(own.Addr()), LocalPort: own.Port(),
		RemoteAddress: fromNetip(peer.Addr()), RemotePort: peer.Port(),
	}
	found, ok := s.ip.FindTransportEndpoint(protocolOf(own.Addr()), tcp.ProtocolNumber, id, nic).(tcpip.Endpoint)
	if !ok {
		return false, false
	}
	listens = tcp.EndpointState(found.State()) == tcp.StateListen
	return !listens, listens
}
