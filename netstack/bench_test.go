package netstack_test

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/cordonmesh/cordon/netstack"
)

// BenchmarkBulk is one TCP stream between two stacks, back to back.
func BenchmarkBulk(b *testing.B) {
	l := newLink(b, 0)
	ln := listen(b, l.b, netip.AddrPortFrom(b4, 104))
	bulk(b, ln, func() (net.Conn, error) { return l.a.DialContext(withPatience(b), "tcp", join(b4, 104)) })
}

// BenchmarkBulkLoopback is the same over this machine's loopback: the measure.
func BenchmarkBulkLoopback(b *testing.B) {
	ln := loopback(b)
	bulk(b, ln, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
}

func bulk(b *testing.B, ln net.Listener, dial func() (net.Conn, error)) {
	const block = 1 << 20
	received := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 128<<10))
		}
		received <- err
	}()
	c, err := dial()
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, block)
	b.SetBytes(block)
	for b.Loop() {
		if _, err := c.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	if err := <-received; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDial opens and ends one connection.
func BenchmarkDial(b *testing.B) {
	l := newLink(b, 0)
	background(b, echo(listen(b, l.b, netip.AddrPortFrom(b4, 104))))
	for b.Loop() {
		c, err := l.a.DialContext(withPatience(b), "tcp", join(b4, 104))
		if err != nil {
			b.Fatal(err)
		}
		c.(interface{ Abort() }).Abort()
	}
}

// A rootless node has 25 MB for all; the stack at rest must be a small part.
func TestAtRestTheStackIsSmall(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := heap()
	s := newStack(t, netstack.Config{Addresses: []netip.Addr{a4, a6}})
	const limit = 2 << 20
	if grown := int64(heap()) - int64(before); grown > limit {
		t.Errorf("a stack at rest holds %d bytes, more than %d", grown, limit)
	} else {
		t.Logf("a stack at rest holds %d bytes", grown)
	}
	runtime.KeepAlive(s)
}
