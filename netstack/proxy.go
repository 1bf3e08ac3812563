package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// handshakeTime bounds how long a client may take to say what it wants.
const handshakeTime = 10 * time.Second

// errNotPermitted is our own refusal; ErrProhibited is the filter's or the peer's.
var errNotPermitted = errors.New("the destination is not in the mesh")

// Proxy leads this machine's programs into the mesh: as a SOCKS5 server
// (RFC 1928: CONNECT and UDP ASSOCIATE, no authentication) by ServeSOCKS, as an
// HTTP proxy (CONNECT) by ServeCONNECT. It dials through the Stack and nowhere
// else. Mind who can reach the listener: whoever connects speaks as this node.
type Proxy struct {
	Stack *Stack
	// Permit says whether a destination belongs to the mesh; network is tcp or
	// udp. It is asked after a name was resolved, so that no name leads
	// elsewhere. Nil refuses everything.
	Permit func(network string, dst netip.AddrPort) bool
	Limits Limits
}

// resolve gives the permitted addresses of to.
func (p *Proxy) resolve(ctx context.Context, network string, to socksTarget) ([]netip.AddrPort, error) {
	addrs, err := p.Stack.Lookup(ctx, to.host())
	if err != nil {
		return nil, err
	}
	var permitted []netip.AddrPort
	for _, a := range addrs {
		dst := netip.AddrPortFrom(a, to.port)
		if p.Permit != nil && to.port != 0 && p.Permit(network, dst) {
			permitted = append(permitted, dst)
		}
	}
	if len(permitted) == 0 {
		return nil, errNotPermitted
	}
	return permitted, nil
}

// dial connects to the first of to's permitted addresses that answers.
func (p *Proxy) dial(ctx context.Context, to socksTarget) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := p.resolve(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	for _, dst := range addrs[:min(len(addrs), maxTried)] {
		var c net.Conn
		if c, err = p.Stack.dialTCP(ctx, dst); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// replyFor gives the reply code that tells a SOCKS client why err happened.
func replyFor(err error) socksReply {
	var name *net.DNSError
	switch {
	case err == nil:
		return replyOK
	case errors.Is(err, errNotPermitted), errors.Is(err, ErrProhibited):
		return replyNotAllowed
	case errors.Is(err, syscall.ECONNREFUSED):
		return replyRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, ErrNoAddress):
		return replyNetwork
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded), errors.As(err, &name):
		return replyHost
	}
	return replyFailure
}
