//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Dial connects from the host. The address must be a literal: a resolver would
// run outside of the host's network.
func (h *Host) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	var conn net.Conn
	err := h.Do(func() error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, network, to.String())
		return err
	})
	if err != nil {
		return nil, err // a failed dial must not come back as a non-nil nil
	}
	return conn, nil
}

// Listen listens on the host for TCP; the listener closes with the lab.
func (h *Host) Listen(at netip.AddrPort) net.Listener {
	h.lab.t.Helper()
	var l net.Listener
	err := h.Do(func() error {
		var err error
		l, err = net.Listen("tcp", at.String())
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("listen on %s at %s: %v", h.Name, at, err)
	}
	h.lab.atEnd(func() { l.Close() })
	return l
}

// ServeHTTP serves HTTP at an address of the host until the lab ends.
func (h *Host) ServeHTTP(at netip.AddrPort, handler http.Handler) {
	h.lab.t.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	l := h.Listen(at)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	h.lab.atEnd(func() { server.Close(); <-done })
}

// HTTPClient gives a client that connects from the host, to literal addresses.
// It keeps no connections.
func (h *Host) HTTPClient() *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, fmt.Errorf("the lab dials literal addresses: %w", err)
		}
		return h.Dial(ctx, network, to)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// EchoUDP answers every datagram at the address with itself until the lab ends.
func (h *Host) EchoUDP(at netip.AddrPort) {
	h.lab.t.Helper()
	h.answerUDP(at, func(said []byte, _ net.Addr) []byte { return said })
}

// ReflectUDP answers every datagram with the address and port that it came from,
// as text: what a NAT on the way made of it.
func (h *Host) ReflectUDP(at netip.AddrPort) {
	h.lab.t.Helper()
	h.answerUDP(at, func(_ []byte, from net.Addr) []byte { return []byte(from.String()) })
}

func (h *Host) answerUDP(at netip.AddrPort, answer func(said []byte, from net.Addr) []byte) {
	h.lab.t.Helper()
	conn := h.ListenUDP(at)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65535)
		for {
			n, from, err := conn.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				conn.WriteTo(answer(buf[:n], from), from)
			}
		}
	}()
	h.lab.atEnd(func() { conn.Close(); <-done })
}

// ListenUDP opens a socket on the host, which closes with the lab.
func (h *Host) ListenUDP(at netip.AddrPort) *net.UDPConn {
	h.lab.t.Helper()
	var conn *net.UDPConn
	err := h.Do(func() error {
		var err error
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("listen on %s at %s: %v", h.Name, at, err)
	}
	h.lab.atEnd(func() { conn.Close() })
	return conn
}

// Sink accepts TCP connections, counts what arrives and, if asked to, answers.
type Sink struct {
	accepted, received atomic.Int64
	last               atomic.Int64 // Unix nanoseconds of the last byte
}

// Accepted counts connections, and Received bytes, so far.
func (s *Sink) Accepted() int64 { return s.accepted.Load() }

// Received counts bytes so far.
func (s *Sink) Received() int64 { return s.received.Load() }

// Last is when the last byte came, or the zero time.
func (s *Sink) Last() time.Time {
	if ns := s.last.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

// ServeSink swallows TCP at the address; ServeEcho sends it back as well. Both
// end with the lab.
func (h *Host) ServeSink(at netip.AddrPort) *Sink { h.lab.t.Helper(); return h.serveTCP(at, false) }

// ServeEcho is as [Host.ServeSink].
func (h *Host) ServeEcho(at netip.AddrPort) *Sink { h.lab.t.Helper(); return h.serveTCP(at, true) }

func (h *Host) serveTCP(at netip.AddrPort, echo bool) *Sink {
	h.lab.t.Helper()
	s := &Sink{}
	l := h.Listen(at)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			stop := context.AfterFunc(h.lab.t.Context(), func() { conn.Close() })
			conns.Go(func() {
				defer stop()
				defer conn.Close()
				s.swallow(conn, echo)
			})
		}
	})
	h.lab.atEnd(func() { l.Close(); conns.Wait() })
	return s
}

func (s *Sink) swallow(conn net.Conn, echo bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			s.received.Add(int64(n))
			s.last.Store(time.Now().UnixNano())
		}
		if err != nil {
			return
		}
		if echo {
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// Pump is a TCP stream that a host keeps sending until it is stopped, or fails.
type Pump struct {
	cancel context.CancelFunc
	done   chan struct{}
	sent   atomic.Int64
	err    error // valid once done is closed
}

// StartPump connects and sends a block of 1 KiB every interval (0: as fast as
// TCP takes them). It fails the test if the connection cannot be made.
func (h *Host) StartPump(to netip.AddrPort, every time.Duration) *Pump {
	h.lab.t.Helper()
	conn, err := h.Dial(h.lab.t.Context(), "tcp", to)
	if err != nil {
		h.lab.t.Fatalf("stream from %s to %s: %v", h.Name, to, err)
	}
	ctx, cancel := context.WithCancel(h.lab.t.Context())
	p := &Pump{cancel: cancel, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(p.done)
		defer stop()
		defer conn.Close()
		p.err = p.run(ctx, conn, every)
	}()
	h.lab.atEnd(func() { p.Stop() })
	return p
}

func (p *Pump) run(ctx context.Context, to io.Writer, every time.Duration) error {
	block := make([]byte, 1024)
	for {
		n, err := to.Write(block)
		p.sent.Add(int64(n))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if every > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(every):
			}
		}
	}
}

// Sent counts the bytes that TCP took so far.
func (p *Pump) Sent() int64 { return p.sent.Load() }

// Done is closed when the stream has ended, by Stop or by a failure.
func (p *Pump) Done() <-chan struct{} { return p.done }

// Stop ends the stream and gives the error that had ended it before, if any:
// such as a reset by a filter.
func (p *Pump) Stop() error {
	p.cancel()
	<-p.done
	return p.err
}
