package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// ServeSOCKS answers SOCKS5 clients on ln until ctx ends, and then returns nil.
// It closes ln and every connection before it returns.
func (p *Proxy) ServeSOCKS(ctx context.Context, ln net.Listener) error {
	limits, err := p.Limits.orDefaults()
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	return serve(ctx, ln, limits.Conns, func(ctx context.Context, c net.Conn) {
		p.socks(ctx, c, limits)
	})
}

func (p *Proxy) socks(ctx context.Context, c net.Conn, limits Limits) {
	c.SetDeadline(time.Now().Add(handshakeTime))
	open, err := readGreeting(c)
	if err != nil {
		return
	}
	if !open {
		c.Write([]byte{socksVersion, noMethod})
		return
	}
	if _, err := c.Write([]byte{socksVersion, noAuth}); err != nil {
		return
	}
	command, to, err := readRequest(c)
	switch {
	case errors.Is(err, errSOCKSAddress):
		reply(c, replyAddressType, netip.AddrPort{})
	case err != nil:
	case command == cmdConnect:
		p.socksConnect(ctx, c, to, limits)
	case command == cmdAssociate:
		p.socksAssociate(ctx, c, limits)
	default: // BIND needs a second connection from outside, which the filter would have to foresee
		reply(c, replyCommand, netip.AddrPort{})
	}
}

func (p *Proxy) socksConnect(ctx context.Context, c net.Conn, to socksTarget, limits Limits) {
	c.SetDeadline(time.Time{}) // the dial has its own
	out, err := p.dial(ctx, to)
	if err != nil {
		reply(c, replyFor(err), netip.AddrPort{})
		return
	}
	defer context.AfterFunc(ctx, func() { out.Close() })()
	if reply(c, replyOK, addrPortOf(out.LocalAddr())) != nil {
		abort(out)
		return
	}
	p.Stack.splice(c, out, limits.Idle)
}

// reply sends section 6's answer.
func reply(c net.Conn, code socksReply, bound netip.AddrPort) error {
	c.SetWriteDeadline(time.Now().Add(handshakeTime))
	_, err := c.Write(appendAddress([]byte{socksVersion, byte(code), 0}, bound))
	c.SetWriteDeadline(time.Time{})
	return err
}

func addrPortOf(a net.Addr) netip.AddrPort {
	if with, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := with.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
