package netstack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/netstack"
)

// request writes q, ends the writing side, and returns all that comes back: it
// needs half-close to be passed on both ways.
func request(t testing.TB, c net.Conn, q string) (string, error) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, q); err != nil {
		return "", err
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// afterAll answers only once the whole question is there.
func afterAll(ln net.Listener) func(context.Context) error {
	return func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		for {
			c, err := ln.Accept()
			if err != nil {
				return nil
			}
			q, err := io.ReadAll(c)
			if err == nil {
				io.WriteString(c, "answer to "+string(q))
			}
			c.Close()
		}
	}
}

func TestForwardAndExpose(t *testing.T) {
	l := newLink(t, 0)
	service, entry := loopback(t), loopback(t)
	background(t, afterAll(service))
	background(t, func(ctx context.Context) error {
		return l.b.Expose(ctx, netip.AddrPortFrom(netip.Addr{}, 104), service.Addr().String(), netstack.Limits{})
	})
	background(t, func(ctx context.Context) error {
		return l.a.Forward(ctx, entry, join(b6, 104), netstack.Limits{})
	})
	waitListening(t, l.a, join(b6, 104))
	c, err := net.Dial("tcp", entry.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := request(t, c, "C-ECHO"); err != nil || got != "answer to C-ECHO" {
		t.Errorf("got %q, %v", got, err)
	}
	// Nothing but what was exposed is reachable, not even by its own number.
	port := service.Addr().(*net.TCPAddr).AddrPort().Port()
	if _, err := l.a.DialContext(withPatience(t), "tcp", join(b4, port)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that is not exposed: %v, want refused", err)
	}
}

// waitListening dials until somebody answers: Expose listens on its own goroutine.
func waitListening(t testing.TB, s *netstack.Stack, addr string) {
	t.Helper()
	ctx := withPatience(t)
	for {
		c, err := s.DialContext(ctx, "tcp", addr)
		if err == nil {
			c.Close()
			return
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
}

func TestForwardResetsWhenItsTargetRefuses(t *testing.T) {
	l := newLink(t, 0)
	entry := loopback(t)
	background(t, func(ctx context.Context) error {
		return l.a.Forward(ctx, entry, join(b4, 104), netstack.Limits{})
	})
	if err := dialAndRead(entry.Addr()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ends with %v, want a reset", err)
	}
}

// dialAndRead returns how a connection ends that is not to be served: the reset
// may come while it is still being made.
func dialAndRead(at net.Addr) error {
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	_, err = c.Read(make([]byte, 1))
	return err
}

// A transfer that was cut must not look like one that ended.
func TestForwardPassesAResetOn(t *testing.T) {
	l := newLink(t, 0)
	entry := loopback(t)
	ln := listen(t, l.b, netip.AddrPortFrom(b4, 104))
	background(t, func(ctx context.Context) error {
		return l.a.Forward(ctx, entry, join(b4, 104), netstack.Limits{})
	})
	c, err := net.Dial("tcp", entry.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	served, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	served.Write([]byte("half"))
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	served.(interface{ Abort() }).Abort()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read = %v, want a reset", err)
	}
}

func TestForwardEndsIdleConnections(t *testing.T) {
	l := newLink(t, 0)
	entry := loopback(t)
	background(t, echo(listen(t, l.b, netip.AddrPortFrom(b4, 104))))
	background(t, func(ctx context.Context) error {
		return l.a.Forward(ctx, entry, join(b4, 104), netstack.Limits{Idle: 50 * time.Millisecond})
	})
	c, err := net.Dial("tcp", entry.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
		t.Errorf("read = %v, want the connection's end", err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func TestForwardCarriesNoMoreThanItsLimit(t *testing.T) {
	l := newLink(t, 0)
	entry := loopback(t)
	background(t, echo(listen(t, l.b, netip.AddrPortFrom(b4, 104))))
	background(t, func(ctx context.Context) error {
		return l.a.Forward(ctx, entry, join(b4, 104), netstack.Limits{Conns: 1})
	})
	first, err := net.Dial("tcp", entry.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	first.SetDeadline(time.Now().Add(patience))
	first.Write([]byte("x"))
	if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := dialAndRead(entry.Addr()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the second connection ends with %v, want a reset", err)
	}
}

func TestForwardEndsWithItsContext(t *testing.T) {
	l := newLink(t, 0)
	entry := loopback(t)
	background(t, echo(listen(t, l.b, netip.AddrPortFrom(b4, 104))))
	stop := background(t, func(ctx context.Context) error {
		return l.a.Forward(ctx, entry, join(b4, 104), netstack.Limits{})
	})
	c, err := net.Dial("tcp", entry.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("read = %v, want the connection's end", err)
	}
}

func TestForwardRefusesBadArguments(t *testing.T) {
	l := newLink(t, 0)
	for _, target := range []string{"", "100.64.0.2", ":104", "100.64.0.2:0", "100.64.0.2:dicom"} {
		if err := l.a.Forward(t.Context(), loopback(t), target, netstack.Limits{}); err == nil {
			t.Errorf("forward to %q was accepted", target)
		}
		if err := l.a.Expose(t.Context(), netip.AddrPortFrom(a4, 1), target, netstack.Limits{}); err == nil {
			t.Errorf("expose of %q was accepted", target)
		}
	}
	if err := l.a.Forward(t.Context(), loopback(t), join(b4, 1), netstack.Limits{Conns: -1}); err == nil {
		t.Error("negative limits were accepted")
	}
}
