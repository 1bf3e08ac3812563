package controltest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memory is a net.Listener whose connections are buffers in memory. A net.Pipe
// would not do: TLS 1.3 lets both ends write before either reads.
type memory struct {
	mu     sync.Mutex
	down   bool
	closed chan struct{}
	once   sync.Once
	accept chan net.Conn
	conns  map[*conn]bool
}

func newMemory() *memory {
	return &memory{closed: make(chan struct{}), accept: make(chan net.Conn), conns: map[*conn]bool{}}
}

// Accept is net.Listener's.
func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.accept:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's.
func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	m.cut(true)
	return nil
}

// Addr is net.Listener's.
func (m *memory) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "192.0.2.1:8443" }

func (m *memory) dial(ctx context.Context) (net.Conn, error) {
	m.mu.Lock()
	if m.down {
		m.mu.Unlock()
		return nil, errors.New("connection refused")
	}
	up, down := newPipe(), newPipe()
	near, far := &conn{in: down, out: up}, &conn{in: up, out: down}
	m.conns[near], m.conns[far] = true, true
	m.mu.Unlock()
	select {
	case m.accept <- far:
		return near, nil
	case <-m.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) cut(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
	for c := range m.conns {
		c.Close()
	}
	clear(m.conns)
}

// pipe is one direction.
type pipe struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) == 0 && !p.closed && !p.late() {
		p.changed.Wait()
	}
	switch {
	case p.late():
		return 0, os.ErrDeadlineExceeded
	case len(p.data) == 0:
		return 0, io.EOF
	}
	n := copy(b, p.data)
	p.data = p.data[n:]
	return n, nil
}

func (p *pipe) late() bool { return !p.deadline.IsZero() && !time.Now().Before(p.deadline) }

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	p.data = append(p.data, b...)
	p.changed.Broadcast()
	return len(b), nil
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.changed.Broadcast()
}

func (p *pipe) expire(at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = at
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if !at.IsZero() && !p.closed {
		p.timer = time.AfterFunc(time.Until(at), p.changed.Broadcast)
	}
	p.changed.Broadcast()
}

// conn is one end. Writes never wait, so their deadlines are not kept.
type conn struct{ in, out *pipe }

func (c *conn) Read(b []byte) (int, error)         { return c.in.read(b) }
func (c *conn) Write(b []byte) (int, error)        { return c.out.write(b) }
func (c *conn) Close() error                       { c.in.close(); c.out.close(); return nil }
func (c *conn) LocalAddr() net.Addr                { return address{} }
func (c *conn) RemoteAddr() net.Addr               { return address{} }
func (c *conn) SetDeadline(t time.Time) error      { c.in.expire(t); return nil }
func (c *conn) SetReadDeadline(t time.Time) error  { c.in.expire(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { return nil }
