package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay/internal/fair"
)

// Stream is an open connection to a relay, before its Challenge.
type Stream struct {
	net.Conn
	Binding Binding
	Way     Way
}

// ClientConfig says what a client speaks with and to whom it tells what. The
// functions are called one at a time, from [Client.Run]'s goroutine, and must not
// block: what they hold up is the node's own reading.
type ClientConfig struct {
	// Open opens a connection: [Dialer.Open].
	Open func(context.Context) (*Stream, error)
	Node *key.NodePrivate
	// Receive is given each datagram. It may use the bytes until it returns.
	Receive func(from key.NodePublic, datagram []byte)
	// Gone says that a datagram could not be delivered. nil: nobody asks.
	Gone func(peer key.NodePublic, why Reason)
	// OnState is told each change of [State]. nil: nobody asks.
	OnState func(State)

	Instance Instance // of this run of the daemon, the same at every relay
	Log      *slog.Logger
}

// State is how a client stands with its relay.
type State struct {
	Connected bool
	Since     time.Time
	Way       Way   // how it is reached; of the last connection
	Err       error // why it is not connected; nil before the first attempt
	Draining  bool  // the relay is about to stop: another home is wanted
	Duplicate bool  // another machine uses our node key
	Rate      uint64
}

// What waits to be written to a relay. A quarter of a megabyte is 20 ms at 100
// Mbit/s, and more than a second on a bad line: beyond it the oldest are of no use.
const (
	clientQueueBytes  = 256 << 10
	clientQueueFrames = 512
)

// Client keeps one connection to one relay. Make one with [NewClient], give it a
// ticket with SetTicket, and let Run run.
type Client struct {
	cfg  ClientConfig
	pool fair.Pool

	mu     sync.Mutex
	ticket []byte
	link   *link         // nil: not connected
	fresh  chan struct{} // closed when there is news for Run: a ticket, a wake-up
}

// NewClient makes a client that is not connected. It panics without Open, Node
// or Receive, which is a bug.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Open == nil || cfg.Node == nil || cfg.Receive == nil {
		panic("relay: a client needs Open, Node and Receive")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, fresh: make(chan struct{})}
}

// SetTicket gives the client its ticket, and every newer one. A connection that
// stands goes on with it. It fails on one longer than any.
func (c *Client) SetTicket(ticket []byte) error {
	if len(ticket) == 0 || len(ticket) > wire.MaxTicket {
		return fmt.Errorf("relay ticket of %d bytes, want 1 to %d", len(ticket), wire.MaxTicket)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ticket = append([]byte(nil), ticket...)
	if c.link != nil {
		c.link.tell(Append(nil, TypeRenew, c.ticket))
	}
	c.wake()
	return nil
}

// Redial leaves the connection that stands and makes a new one, without waiting
// any longer: the addresses of this machine have changed.
func (c *Client) Redial() {
	c.mu.Lock()
	l := c.link
	c.wake()
	c.mu.Unlock()
	if l != nil {
		l.conn.Close() // TLS says goodbye, which may take seconds: Send must not wait for it
	}
}

// wake ends a wait between two attempts. The caller holds mu.
func (c *Client) wake() {
	close(c.fresh)
	c.fresh = make(chan struct{})
}

// Send queues a copy of datagram for a node and tells whether that was possible:
// not without a connection, and not for one that is empty or longer than
// MaxDatagram. It never blocks; a slow connection loses what waited longest for
// whoever has most waiting. It is safe for concurrent use.
func (c *Client) Send(to key.NodePublic, datagram []byte) bool {
	if len(datagram) == 0 || len(datagram) > MaxDatagram {
		return false
	}
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	if l == nil {
		return false
	}
	n := key.Size + len(datagram)
	f := c.pool.Get(HeaderSize + n)
	PutHeader(f.Bytes, TypeSend, n)
	raw := to.Raw()
	copy(f.Bytes[HeaderSize:], raw[:])
	copy(f.Bytes[HeaderSize+key.Size:], datagram)
	return l.push(raw, f)
}

// Run keeps the connection until ctx is done, and gives its error.
func (c *Client) Run(ctx context.Context) error {
	var pause backoff
	for ctx.Err() == nil {
		ticket, fresh := c.pending()
		if ticket == nil {
			await(ctx, fresh, 0)
			continue
		}
		began := time.Now()
		lasted, err := c.once(ctx, ticket)
		if ctx.Err() != nil {
			break
		}
		c.state(State{Since: time.Now(), Err: err})
		c.cfg.Log.Info("relay: not connected", "reason", err, "after", time.Since(began).Round(time.Millisecond))
		wait := pause.next(lasted, rand.Float64())
		if refused := new(RefusedError); errors.As(err, &refused) && (refused.Code == Replaced || refused.Code == Denied) {
			wait = max(wait, longWait/2+rand.N(longWait/2))
		}
		await(ctx, fresh, wait)
	}
	return ctx.Err()
}

// pending gives the ticket, and a channel that is closed at the next news.
func (c *Client) pending() (ticket []byte, fresh chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ticket, c.fresh
}

// await waits for news, and at most for wait; 0 is for ever.
func await(ctx context.Context, fresh <-chan struct{}, wait time.Duration) {
	var over <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-ctx.Done():
	case <-fresh:
	case <-over:
	}
}

// once makes one connection, and gives how long it stood and why it ended.
func (c *Client) once(ctx context.Context, ticket []byte) (time.Duration, error) {
	l, err := c.connect(ctx, ticket)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	c.hold(l)
	defer c.hold(nil)
	c.cfg.Log.Info("relay: connected", "way", l.state.Way)
	c.state(l.state)
	err = l.run(ctx)
	return time.Since(began), err
}

// hold makes l the connection that Send uses. A ticket that came while it was
// made is passed on.
func (c *Client) hold(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	if l != nil && string(l.ticket) != string(c.ticket) {
		l.tell(Append(nil, TypeRenew, c.ticket))
	}
}

func (c *Client) state(s State) {
	if c.cfg.OnState != nil {
		c.cfg.OnState(s)
	}
}
