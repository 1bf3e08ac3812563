package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/node/relay/internal/fair"
)

const (
	greetWithin = 10 * time.Second // from an open connection to Welcome
	writeWithin = 8 * time.Second  // one batch: a line of 20 kbit/s makes it
	maxControl  = 3 * (HeaderSize + 4096)
)

// link is one connection that a relay welcomed us on.
type link struct {
	client *Client
	conn   net.Conn
	ticket []byte
	state  State // of the goroutine that reads

	wake chan struct{} // one slot: there is something for the writer

	mu      sync.Mutex
	queue   fair.Queue
	control []byte // our own frames, before all datagrams
	alive   alive
	pings   uint64 // how many left; the last one's id, so that a capture shows which pong answers it
	closed  bool
}

// connect opens a connection and proves who we are.
func (c *Client) connect(ctx context.Context, ticket []byte) (*link, error) {
	stream, err := c.cfg.Open(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	rate, err := c.greet(stream, ticket)
	if err != nil {
		stream.Close()
		return nil, err
	}
	now := time.Now()
	return &link{client: c, conn: stream.Conn, ticket: ticket, wake: make(chan struct{}, 1),
		state: State{Connected: true, Since: now, Way: stream.Way, Rate: rate},
		queue: fair.New(&c.pool, clientQueueBytes, clientQueueFrames), alive: alive{heard: now}}, nil
}

func (c *Client) greet(stream *Stream, ticket []byte) (rate uint64, err error) {
	if err := stream.SetDeadline(time.Now().Add(greetWithin)); err != nil {
		return 0, err
	}
	buf := make([]byte, 512)
	kind, body, err := ReadFrame(stream, buf)
	if err != nil {
		return 0, fmt.Errorf("relay's challenge: %w", err)
	}
	if err := refusal(kind, body); err != nil {
		return 0, err
	}
	challenge, err := ParseChallenge(body)
	if err != nil || kind != TypeChallenge {
		return 0, fmt.Errorf("%w: type %#x, want a challenge", ErrFrame, byte(kind))
	}
	hello := NewHello(c.cfg.Node, challenge, stream.Binding, c.cfg.Instance, ticket)
	if _, err := stream.Write(hello.Append(nil)); err != nil {
		return 0, fmt.Errorf("hello to the relay: %w", err)
	}
	if kind, body, err = ReadFrame(stream, buf); err != nil {
		return 0, fmt.Errorf("relay's answer to our hello: %w", err)
	}
	if err := refusal(kind, body); err != nil {
		return 0, err
	}
	if kind != TypeWelcome {
		return 0, fmt.Errorf("%w: type %#x, want a welcome", ErrFrame, byte(kind))
	}
	if rate, err = ParseWelcome(body); err != nil {
		return 0, err
	}
	return rate, stream.SetDeadline(time.Time{})
}

func refusal(kind Type, body []byte) error {
	if kind != TypeRefused {
		return nil
	}
	code, text, err := ParseText(body)
	if err != nil {
		return err
	}
	return &RefusedError{Code: Code(code), Text: text}
}

// run serves the link until it ends, and says why it did.
func (l *link) run(ctx context.Context) error {
	defer l.close()
	stop := context.AfterFunc(ctx, func() { l.conn.Close() })
	defer stop()
	ended := make(chan struct{})
	written := make(chan error, 1)
	go func() {
		written <- l.write(ended)
		l.conn.Close()
	}()
	err := l.read()
	close(ended)
	l.conn.Close()
	why := <-written
	if refused := new(RefusedError); why == nil || errors.As(err, &refused) {
		return err
	}
	return why // it came first: the writer closed the connection
}

// read gives on what comes.
func (l *link) read() error {
	var head [HeaderSize]byte
	buf := make([]byte, 2048)
	for {
		if _, err := io.ReadFull(l.conn, head[:]); err != nil {
			return fmt.Errorf("reading from the relay: %w", err)
		}
		kind, n, err := ParseHeader(head)
		if err != nil {
			return err
		}
		if n > cap(buf) {
			buf = make([]byte, MaxBody)
		}
		if _, err := io.ReadFull(l.conn, buf[:n]); err != nil {
			return fmt.Errorf("reading from the relay: %w", err)
		}
		l.heard()
		if err := l.frame(kind, buf[:n]); err != nil {
			return err
		}
	}
}

func (l *link) frame(kind Type, body []byte) error {
	switch kind {
	case TypeRecv:
		from, datagram, err := ParseDatagram(body)
		if err != nil {
			return err
		}
		l.client.cfg.Receive(from, datagram)
	case TypePong:
		_, err := ParsePing(body) // that anything came is what counts
		return err
	case TypePeerGone:
		peer, why, err := ParsePeerGone(body)
		if err != nil {
			return err
		}
		if l.client.cfg.Gone != nil {
			l.client.cfg.Gone(peer, why)
		}
	case TypeNotice:
		return l.notice(body)
	case TypeRefused:
		return refusal(kind, body)
	}
	return nil // of a later version
}

func (l *link) notice(body []byte) error {
	kind, text, err := ParseText(body)
	if err != nil {
		return err
	}
	l.client.cfg.Log.Warn("relay: notice", "kind", kind, "text", text)
	l.state.Draining = l.state.Draining || NoticeKind(kind) == Draining
	l.state.Duplicate = l.state.Duplicate || NoticeKind(kind) == Duplicate
	l.client.state(l.state)
	return nil
}

// push queues a datagram.
func (l *link) push(to fair.Key, f *fair.Frame) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.client.pool.Put(f)
		return false
	}
	l.alive.sent = time.Now()
	l.queue.Push(to, f)
	l.stir()
	return true
}

// tell queues a frame of our own.
func (l *link) tell(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && len(l.control)+len(frame) <= maxControl {
		l.control = append(l.control, frame...)
		l.stir()
	}
}

func (l *link) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *link) heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alive.hear(time.Now())
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.queue.Clear()
}
