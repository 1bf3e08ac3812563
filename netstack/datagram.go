package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultUDPIdle is when a silent exchange is forgotten: RFC 4787 (REQ-5)
	// asks for two minutes at least, and recommends five.
	defaultUDPIdle = 5 * time.Minute
	maxDatagram    = 64 << 10
)

// ForwardPacket carries the datagrams that pc, a socket of this machine,
// receives to target ("host:port" of the mesh) through the stack, and the answers
// back to whoever asked. It blocks until ctx ends, and then returns nil; it
// closes pc. In limits, Conns counts those who ask, and Idle's default is five
// minutes. See Forward.
func (s *Stack) ForwardPacket(ctx context.Context, pc net.PacketConn, target string, limits Limits) error {
	limits, err := limits.forUDP(target)
	if err != nil {
		return errors.Join(err, pc.Close())
	}
	return carryDatagrams(ctx, pc, limits, func(ctx context.Context) (net.Conn, error) {
		return s.DialContext(ctx, "udp", target)
	})
}

// ExposePacket makes target, a UDP service that this machine reaches, reachable
// at one port of the stack. See Expose and ForwardPacket.
func (s *Stack) ExposePacket(ctx context.Context, at netip.AddrPort, target string, limits Limits) error {
	limits, err := limits.forUDP(target)
	if err != nil {
		return err
	}
	pc, err := s.ListenPacket("udp", at)
	if err != nil {
		return fmt.Errorf("expose %s: %w", target, err)
	}
	var host net.Dialer
	return carryDatagrams(ctx, pc, limits, func(ctx context.Context) (net.Conn, error) {
		return host.DialContext(ctx, "udp", target)
	})
}

func (l Limits) forUDP(target string) (Limits, error) {
	if l.Idle == 0 {
		l.Idle = defaultUDPIdle
	}
	l, err := l.orDefaults()
	if err != nil {
		return l, err
	}
	return l, checkTarget(target)
}

// exchange is what one asker says to the target, and hears.
type exchange struct {
	out   net.Conn
	moved atomic.Uint64
	stop  func()
}

// exchanges is the askers of one socket.
type exchanges struct {
	pc     net.PacketConn
	limits Limits
	dial   func(context.Context) (net.Conn, error)

	mu      sync.Mutex
	open    map[string]*exchange // by asker
	answers sync.WaitGroup
}

// carryDatagrams gives each asker a socket of its own towards the target, so
// that answers find back. What exceeds the limits is dropped, as UDP is.
func carryDatagrams(ctx context.Context, pc net.PacketConn, limits Limits, dial func(context.Context) (net.Conn, error)) error {
	x := &exchanges{pc: pc, limits: limits, dial: dial, open: make(map[string]*exchange)}
	defer x.end()
	defer pc.Close()
	defer context.AfterFunc(ctx, func() { pc.Close() })()
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := pc.ReadFrom(buf)
		switch {
		case err == nil:
			if e := x.of(ctx, from); e != nil {
				e.moved.Add(1)
				e.out.Write(buf[:n]) // a refusal shows on the reading side
			}
		case ctx.Err() != nil:
			return nil
		case !isRefusal(err): // of an answer to somebody who has gone
			return fmt.Errorf("receive on %s: %w", pc.LocalAddr(), err)
		}
	}
}

// of returns from's exchange, a new one if need be, or nil.
func (x *exchanges) of(ctx context.Context, from net.Addr) *exchange {
	key := from.String()
	x.mu.Lock()
	e, room := x.open[key], len(x.open) < x.limits.Conns
	x.mu.Unlock()
	if e != nil || !room {
		return e
	}
	bounded, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	out, err := x.dial(bounded)
	if err != nil {
		return nil
	}
	e = &exchange{out: out}
	e.stop = watchIdle(&e.moved, x.limits.Idle, func() { out.Close() })
	x.mu.Lock()
	x.open[key] = e
	x.mu.Unlock()
	x.answers.Go(func() { x.answer(e, key, from) })
	return e
}

// answer brings e's answers to its asker until e's socket is closed.
func (x *exchanges) answer(e *exchange, key string, to net.Addr) {
	defer func() {
		x.mu.Lock()
		delete(x.open, key)
		x.mu.Unlock()
		e.stop()
		e.out.Close()
	}()
	buf := make([]byte, maxDatagram)
	for {
		n, err := e.out.Read(buf)
		if err != nil && !isRefusal(err) {
			return
		}
		if err == nil {
			e.moved.Add(1)
			x.pc.WriteTo(buf[:n], to)
		}
	}
}

func (x *exchanges) end() {
	x.mu.Lock()
	for _, e := range x.open {
		e.out.Close()
	}
	x.mu.Unlock()
	x.answers.Wait()
}
