package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// maxTried bounds how many addresses of one name are dialled.
	maxTried = 4
	// keepAlive finds peers that vanished. It is long, because each probe
	// keeps a tunnel up that could otherwise rest.
	keepAlive         = 5 * time.Minute
	keepAliveInterval = 15 * time.Second
)

// DialContext connects to addr ("host:port"; host is an address, or a name that
// Config.Resolve knows) over network: tcp, tcp4, tcp6, udp, udp4 or udp6. A
// refused TCP connection fails at once: errors.Is finds syscall.ECONNREFUSED
// (nobody listens), ErrProhibited (the policy), syscall.EHOSTUNREACH or
// syscall.ENETUNREACH. The context bounds the dial, not the connection.
func (s *Stack) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s %q: give it as host:port: %w", network, addr, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("dial %s %q: %q is no port: give a number from 1 to 65535", network, addr, portText)
	}
	dial, family, err := s.dialer(network)
	if err != nil {
		return nil, err
	}
	addrs, err := s.Lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("dial %s %q: %w", network, addr, err)
	}
	var errs []error
	for _, a := range addrs {
		if family != 0 && family != a.BitLen() {
			continue
		}
		c, err := dial(ctx, netip.AddrPortFrom(a, uint16(port)))
		if err == nil {
			return c, nil
		}
		if errs = append(errs, err); ctx.Err() != nil || len(errs) == maxTried {
			break
		}
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("dial %s %q: %s has no address of that family", network, addr, host)
	}
	return nil, errors.Join(errs...)
}

type dialFunc func(context.Context, netip.AddrPort) (net.Conn, error)

// dialer returns how to dial, and the bits of the only family asked for, or 0.
func (s *Stack) dialer(network string) (dialFunc, int, error) {
	switch network {
	case "tcp":
		return s.dialTCP, 0, nil
	case "tcp4":
		return s.dialTCP, 32, nil
	case "tcp6":
		return s.dialTCP, 128, nil
	case "udp":
		return s.dialUDP, 0, nil
	case "udp4":
		return s.dialUDP, 32, nil
	case "udp6":
		return s.dialUDP, 128, nil
	}
	return nil, 0, fmt.Errorf("dial: network %q is not known here: give tcp, tcp4, tcp6, udp, udp4 or udp6: %w", network, net.UnknownNetworkError(network))
}

// Lookup returns the addresses of host: itself, if it is an address, else what
// Config.Resolve says. The host's resolver is never asked: it would tell the
// outside which mesh names are used here, and believe its answers.
func (s *Stack) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return nil, fmt.Errorf("look up %q: a mesh address has no zone", host)
		}
		return []netip.Addr{a.Unmap()}, nil
	}
	if s.resolve == nil {
		return nil, &net.DNSError{Err: "no resolver was given to this stack: dial an address", Name: host, IsNotFound: true}
	}
	addrs, err := s.resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("look up %q: %w", host, err)
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such name in the mesh", Name: host, IsNotFound: true}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

func (s *Stack) dialTCP(ctx context.Context, dst netip.AddrPort) (net.Conn, error) {
	ep, wq, src, err := s.bound(tcp.ProtocolNumber, dst)
	if err != nil {
		return nil, opError("dial", "tcp", netip.AddrPort{}, dst, err)
	}
	refused, forget := s.refusals.watch(flow{protoTCP, src, dst})
	defer forget()
	if err := s.connect(ctx, ep, wq, dst, refused); err != nil {
		ep.Abort()
		ep.Close()
		return nil, opError("dial", "tcp", src, dst, err)
	}
	tuneEndpoint(ep)
	return newTCPConn(wq, ep), nil
}

// bound makes an endpoint that sends from our address towards dst, from a port
// that is known before the first packet leaves: a refusal may answer that one.
func (s *Stack) bound(proto tcpip.TransportProtocolNumber, dst netip.AddrPort) (tcpip.Endpoint, *waiter.Queue, netip.AddrPort, error) {
	src, err := s.source(dst.Addr())
	if err != nil {
		return nil, nil, netip.AddrPort{}, err
	}
	wq := new(waiter.Queue)
	ep, terr := s.ip.NewEndpoint(proto, protocolOf(dst.Addr()), wq)
	if terr != nil {
		return nil, nil, netip.AddrPort{}, sysError(terr)
	}
	if terr := ep.Bind(fullAddress(netip.AddrPortFrom(src, 0))); terr != nil {
		ep.Close()
		return nil, nil, netip.AddrPort{}, sysError(terr)
	}
	at, terr := ep.GetLocalAddress()
	if terr != nil {
		ep.Close()
		return nil, nil, netip.AddrPort{}, sysError(terr)
	}
	return ep, wq, netip.AddrPortFrom(src, at.Port), nil
}

func (s *Stack) connect(ctx context.Context, ep tcpip.Endpoint, wq *waiter.Queue, dst netip.AddrPort, refused <-chan refusal) error {
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if err := ctx.Err(); err != nil {
		return err
	}
	terr := ep.Connect(fullAddress(dst))
	if _, started := terr.(*tcpip.ErrConnectStarted); !started {
		if terr != nil {
			return sysError(terr)
		}
		return nil
	}
	select {
	case <-s.closed:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case why := <-refused:
		return why
	case <-ready:
	}
	terr = ep.LastError()
	if terr == nil {
		return nil
	}
	select {
	case why := <-refused: // says more than the stack's own word
		return why
	default:
		return sysError(terr)
	}
}

func tuneEndpoint(ep tcpip.Endpoint) {
	idle, interval := tcpip.KeepaliveIdleOption(keepAlive), tcpip.KeepaliveIntervalOption(keepAliveInterval)
	// Both only fail on endpoints that are not TCP.
	_ = ep.SetSockOpt(&idle)
	_ = ep.SetSockOpt(&interval)
	ep.SocketOptions().SetKeepAlive(true)
	ep.SocketOptions().SetDelayOption(false)
}

func (s *Stack) dialUDP(_ context.Context, dst netip.AddrPort) (net.Conn, error) {
	ep, wq, src, err := s.bound(udp.ProtocolNumber, dst)
	if err != nil {
		return nil, opError("dial", "udp", netip.AddrPort{}, dst, err)
	}
	if terr := ep.Connect(fullAddress(dst)); terr != nil {
		ep.Close()
		return nil, opError("dial", "udp", src, dst, sysError(terr))
	}
	refused, forget := s.refusals.watch(flow{protoUDP, src, dst})
	c := newUDPConn(wq, ep)
	c.refused, c.forget = refused, forget
	return c, nil
}
