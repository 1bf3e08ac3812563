package control

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Line hands the connection on which a node enrolled to its follower's first
// session. Both prove the same key, and that is all that a coordinator goes by:
// another connection would cost it a third of a join, and the node a handshake.
// The zero Line is ready for use; a nil one keeps nothing.
type Line struct {
	mu   sync.Mutex
	kept *channel
}

// keep takes a channel over, in place of one that nobody took.
func (l *Line) keep(c *channel) {
	if l == nil {
		c.close()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept != nil {
		l.kept.close()
	}
	l.kept = c
}

// take gives the channel that was kept, that goes by w from now on; nil if there is
// none, or none that can.
func (l *Line) take(w way) *channel {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	c := l.kept
	l.kept = nil
	l.mu.Unlock()
	if c == nil {
		return nil
	}
	if err := c.sockets.follow(w); err != nil {
		c.close()
		return nil
	}
	return c
}

// Close ends what was kept.
func (l *Line) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept != nil {
		l.kept.close()
		l.kept = nil
	}
}

// sockets is how a channel is dialled, and dialled again.
type sockets struct {
	mu   sync.Mutex
	dial Dial
	last net.Conn
	host string // that last was dialled for
}

func (s *sockets) open(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	dial := s.dial
	s.mu.Unlock()
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = conn
	s.host, _, _ = net.SplitHostPort(address)
	return conn, nil
}

// follow has the socket that stands, and any later one, go by w: it was opened
// when there was no tunnel yet that could have led it astray.
func (s *sockets) follow(w way) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dial = w.dialer()
	if s.last != nil && w.known != nil && s.host == w.known.host {
		w.known.reached(s.last.RemoteAddr())
	}
	conn, ok := s.last.(syscall.Conn)
	if w.control == nil || !ok {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	at := s.last.RemoteAddr()
	return w.control(at.Network(), at.String(), raw)
}
