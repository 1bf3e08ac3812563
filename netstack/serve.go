package netstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	copyBuffer     = 32 << 10
	defaultConns   = 512
	defaultIdle    = 2 * time.Hour // longer than a DICOM association rests
	dialTimeout    = 10 * time.Second
	acceptPause    = 50 * time.Millisecond
	idleCheckShare = 4 // an idle pair is found within idle + idle/4
)

// Limits bounds what a forward or proxy holds. The zero Limits are the defaults.
type Limits struct {
	// Conns is how many connections are carried at a time; one more is reset
	// at once, so that its user sees a refusal instead of a wait. Zero: 512.
	Conns int
	// Idle ends a connection that carried no byte in either direction for so
	// long. Zero: two hours.
	Idle time.Duration
}

func (l Limits) orDefaults() (Limits, error) {
	if l.Conns < 0 || l.Idle < 0 {
		return l, fmt.Errorf("netstack: limits %d connections, idle %v: neither may be negative; 0 means %d and %v", l.Conns, l.Idle, defaultConns, defaultIdle)
	}
	if l.Conns == 0 {
		l.Conns = defaultConns
	}
	if l.Idle == 0 {
		l.Idle = defaultIdle
	}
	return l, nil
}

// serve accepts from ln and runs handle for each connection until ctx ends (and
// then returns nil) or ln fails. It closes ln and every connection, and returns
// when all handlers have.
func serve(ctx context.Context, ln net.Listener, conns int, handle func(context.Context, net.Conn)) error {
	ctx, cancel := context.WithCancel(ctx)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer func() {
		stop()
		ln.Close()
	}()
	free := make(chan struct{}, conns)
	for {
		c, err := accept(ctx, ln)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		select {
		case free <- struct{}{}:
		default:
			abort(c)
			continue
		}
		handlers.Go(func() {
			defer func() { <-free }()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			defer c.Close()
			handle(ctx, c)
		})
	}
}

// accept outlasts the errors that pass, such as too many open files.
func accept(ctx context.Context, ln net.Listener) (net.Conn, error) {
	for {
		c, err := ln.Accept()
		var timeout net.Error
		if err == nil || !errors.As(err, &timeout) || !timeout.Timeout() {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(acceptPause):
		}
	}
}

// abort closes c with a reset, where c is TCP.
func abort(c net.Conn) {
	switch c := c.(type) {
	case interface{ Abort() }:
		c.Abort()
	case *net.TCPConn:
		c.SetLinger(0)
		c.Close()
	default:
		c.Close()
	}
}

// splice carries bytes both ways between a and b until both sides have ended,
// or one failed, or neither said anything for idle; then both are closed. The
// end of one direction is passed on as such and leaves the other open: a client
// may end its request and then wait for the answer. A failure is passed on as a
// reset, so that a cut transfer is never taken for a complete one.
func (s *Stack) splice(a, b net.Conn, idle time.Duration) {
	var moved atomic.Uint64
	stop := watchIdle(&moved, idle, func() { abort(a); abort(b) })
	defer stop()
	carry := func(dst, src net.Conn) {
		if s.carry(dst, src, &moved) != nil {
			abort(dst)
			abort(src)
		}
	}
	var back sync.WaitGroup
	back.Go(func() { carry(a, b) })
	carry(b, a)
	back.Wait()
	a.Close()
	b.Close()
}

// carry copies until src ends, and then ends dst's writing side.
func (s *Stack) carry(dst, src net.Conn, moved *atomic.Uint64) error {
	buf := s.buffers.Get().(*[copyBuffer]byte)
	defer s.buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			moved.Add(uint64(n))
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			if half, ok := dst.(interface{ CloseWrite() error }); ok {
				return half.CloseWrite()
			}
			return dst.Close()
		}
		if err != nil {
			return err
		}
	}
}

// watchIdle calls end once moved stood still for idle. stop ends the watch.
func watchIdle(moved *atomic.Uint64, idle time.Duration, end func()) (stop func()) {
	var (
		mu      sync.Mutex
		timer   *time.Timer
		last    uint64
		still   int
		stopped bool
	)
	step := idle/idleCheckShare + 1
	check := func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if now := moved.Load(); now != last {
			last, still = now, 0
		} else if still++; still >= idleCheckShare {
			end()
			return
		}
		timer.Reset(step)
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(step, check)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}
