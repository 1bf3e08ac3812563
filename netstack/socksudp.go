package netstack

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxAssociated bounds the destinations of one association: each is a socket.
const maxAssociated = 64

// association carries one client's datagrams. It lives as long as the TCP
// connection that asked for it (section 7), or until it is idle.
type association struct {
	proxy  *Proxy
	local  *net.UDPConn // towards the client
	from   netip.Addr   // the only address that may use it
	moved  atomic.Uint64
	client atomic.Pointer[netip.AddrPort] // the first port of it that spoke

	readers sync.WaitGroup
	out     map[netip.AddrPort]net.Conn // owned by carryOut
}

func (p *Proxy) socksAssociate(ctx context.Context, c net.Conn, limits Limits) {
	at, peer := addrPortOf(c.LocalAddr()).Addr(), addrPortOf(c.RemoteAddr()).Addr()
	if !at.IsValid() { // a unix socket: there is no address at which its client could send
		reply(c, replyCommand, netip.AddrPort{})
		return
	}
	local, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		reply(c, replyFailure, netip.AddrPort{})
		return
	}
	a := &association{proxy: p, local: local, from: peer, out: make(map[netip.AddrPort]net.Conn)}
	stop := watchIdle(&a.moved, limits.Idle, func() { c.Close() })
	defer stop()
	var carrier sync.WaitGroup
	carrier.Go(func() { a.carryOut(ctx) })
	if reply(c, replyOK, addrPortOf(local.LocalAddr())) == nil {
		c.SetDeadline(time.Time{})
		io.Copy(io.Discard, c)
	}
	local.Close()
	carrier.Wait()
}

// carryOut reads the client's datagrams until local is closed.
func (a *association) carryOut(ctx context.Context) {
	defer a.readers.Wait()
	defer func() {
		for _, c := range a.out {
			c.Close()
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, from, err := a.local.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if from.Addr() != a.from {
			continue // section 7: anybody else's are dropped
		}
		if client := a.client.Load(); client == nil {
			a.client.Store(&from)
		} else if *client != from {
			continue
		}
		a.moved.Add(1)
		a.send(ctx, buf[:n])
	}
}

// send drops what it cannot send: UDP promises nothing, and section 7 has no reply.
func (a *association) send(ctx context.Context, datagram []byte) {
	to, payload, err := parseDatagram(datagram)
	if err != nil {
		return
	}
	addrs, err := a.proxy.resolve(ctx, "udp", to)
	if err != nil {
		return
	}
	c := a.out[addrs[0]]
	if c == nil {
		if len(a.out) >= maxAssociated {
			return
		}
		if c, err = a.proxy.Stack.dialUDP(ctx, addrs[0]); err != nil {
			return
		}
		a.out[addrs[0]] = c
		a.readers.Go(func() { a.carryBack(c, addrs[0]) })
	}
	c.Write(payload)
}

// carryBack brings from's answers to the client until c is closed. A refusal is
// one failed read and no more: the next datagram may be permitted.
func (a *association) carryBack(c net.Conn, from netip.AddrPort) {
	head := appendAddress([]byte{0, 0, 0}, from)
	buf := make([]byte, len(head)+a.proxy.Stack.dev.mtu)
	copy(buf, head)
	for {
		n, err := c.Read(buf[len(head):])
		if err != nil && !isRefusal(err) {
			return
		}
		client := a.client.Load()
		if err != nil || client == nil {
			continue
		}
		a.moved.Add(1)
		a.local.WriteToUDPAddrPort(buf[:len(head)+n], *client)
	}
}
