package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// backlog bounds the connections of one listener that nobody has accepted yet.
const backlog = 128

// Listen accepts TCP connections at one of the stack's addresses, or at all of
// them, now and later, if at's address is the zero Addr or unspecified. Port 0
// takes a free one. network is tcp, tcp4 or tcp6.
func (s *Stack) Listen(network string, at netip.AddrPort) (net.Listener, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, fmt.Errorf("listen: network %q is not known here: give tcp, tcp4 or tcp6: %w", network, net.UnknownNetworkError(network))
	}
	ep, wq, err := s.open(tcp.ProtocolNumber, network, at)
	if err != nil {
		return nil, opError("listen", network, at, netip.AddrPort{}, err)
	}
	if terr := ep.Listen(backlog); terr != nil {
		ep.Close()
		return nil, opError("listen", network, at, netip.AddrPort{}, sysError(terr))
	}
	return &listener{stack: s, ep: ep, wq: wq, done: make(chan struct{})}, nil
}

// ListenPacket receives UDP at one of the stack's addresses, or at all of them;
// see Listen. network is udp, udp4 or udp6.
func (s *Stack) ListenPacket(network string, at netip.AddrPort) (net.PacketConn, error) {
	if network != "udp" && network != "udp4" && network != "udp6" {
		return nil, fmt.Errorf("listen: network %q is not known here: give udp, udp4 or udp6: %w", network, net.UnknownNetworkError(network))
	}
	ep, wq, err := s.open(udp.ProtocolNumber, network, at)
	if err != nil {
		return nil, opError("listen", network, at, netip.AddrPort{}, err)
	}
	return newUDPConn(wq, ep), nil
}

func (s *Stack) open(proto tcpip.TransportProtocolNumber, network string, at netip.AddrPort) (tcpip.Endpoint, *waiter.Queue, error) {
	if s.isClosed() {
		return nil, nil, net.ErrClosed
	}
	a := at.Addr().Unmap()
	only6 := network[len(network)-1] == '6'
	family := tcpip.NetworkProtocolNumber(ipv6.ProtocolNumber) // unspecified: serves both
	if a.Is4() || network[len(network)-1] == '4' {
		family = protocolOf(netip.IPv4Unspecified())
	}
	if only6 && a.Is4() || family != ipv6.ProtocolNumber && a.Is6() && !a.IsUnspecified() {
		return nil, nil, &net.AddrError{Err: "address is not of the network's family", Addr: a.String()}
	}
	wq := new(waiter.Queue)
	ep, terr := s.ip.NewEndpoint(proto, family, wq)
	if terr != nil {
		return nil, nil, sysError(terr)
	}
	ep.SocketOptions().SetV6Only(only6)
	if terr := ep.Bind(fullAddress(netip.AddrPortFrom(a, at.Port()))); terr != nil {
		ep.Close()
		return nil, nil, sysError(terr)
	}
	return ep, wq, nil
}

type listener struct {
	stack *Stack
	ep    tcpip.Endpoint
	wq    *waiter.Queue
	done  chan struct{}
	once  sync.Once
}

// Accept fails with net.ErrClosed after Close of the listener or the stack.
func (l *listener) Accept() (net.Conn, error) {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	l.wq.EventRegister(&entry)
	defer l.wq.EventUnregister(&entry)
	for {
		select {
		case <-l.done:
			return nil, opError("accept", "tcp", toNetip(l.address()), netip.AddrPort{}, net.ErrClosed)
		case <-l.stack.closed:
			return nil, opError("accept", "tcp", toNetip(l.address()), netip.AddrPort{}, net.ErrClosed)
		default:
		}
		ep, wq, terr := l.ep.Accept(nil)
		if terr == nil {
			tuneEndpoint(ep)
			return newTCPConn(wq, ep), nil
		}
		if _, wait := terr.(*tcpip.ErrWouldBlock); !wait {
			return nil, opError("accept", "tcp", toNetip(l.address()), netip.AddrPort{}, sysError(terr))
		}
		select {
		case <-ready:
		case <-l.done:
		case <-l.stack.closed:
		}
	}
}

// Close ends Accept, and resets connections that nobody accepted.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.ep.Close()
	})
	return nil
}

// Addr is the address at which the listener accepts, with the port that was chosen.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(toNetip(l.address())) }

func (l *listener) address() tcpip.FullAddress {
	at, _ := l.ep.GetLocalAddress() // a closed listener has the zero address
	return at
}
