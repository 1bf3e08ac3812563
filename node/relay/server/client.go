package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/internal/fair"
)

// A client sends a ping in 20 s at the latest. One that was silent for deadAfter
// is dead; the deadline is moved once in renewEvery, since that costs more than
// a frame.
const (
	deadAfter  = 55 * time.Second
	renewEvery = 5 * time.Second
)

// client is a node's connection that was admitted.
type client struct {
	server   *Server
	mesh     *mesh
	member   *member
	conn     net.Conn
	key      key.NodePublic
	raw      fair.Key // the key's bytes
	instance relay.Instance

	// Of the goroutine that reads.
	head          [relay.HeaderSize]byte
	until         time.Time // the ticket's end
	renewed       time.Time // when the deadline was last moved
	bytes, frames bucket
	lastKey       fair.Key // whom the last datagram was for: flows come in runs
	last          *member

	mu      sync.Mutex
	queue   fair.Queue
	control []byte // frames of the relay itself, before all others
	writing bool   // somebody writes, and will see what is added
	ending  bool   // close when control is written
	closed  bool   // nothing more is taken
}

func newClient(s *Server, conn net.Conn, p wire.RelayPermit, i relay.Instance) *client {
	rate := s.cfg.Rate
	if p.Rate >= minRate {
		rate = min(rate, p.Rate)
	}
	now := time.Now()
	return &client{server: s, mesh: s.meshes[p.Mesh], conn: conn, key: p.Node, raw: p.Node.Raw(), instance: i, until: p.NotAfter,
		bytes: newBucket(rate, relay.MaxFrame, now), frames: newBucket(s.cfg.FrameRate, 64, now),
		queue: fair.New(&s.pool, s.cfg.QueueBytes, s.cfg.QueueFrames), control: relay.AppendWelcome(nil, rate)}
}

// read serves what the client sends until the connection ends.
func (c *client) read() error {
	for now := time.Now(); ; {
		if err := c.keep(now); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.conn, c.head[:]); err != nil {
			return err
		}
		kind, n, err := relay.ParseHeader(c.head)
		if err != nil {
			return err
		}
		if err := c.frame(kind, n); err != nil {
			return err
		}
		now = c.pace(n)
	}
}

// keep moves the deadline: the client has until then to say something.
func (c *client) keep(now time.Time) error {
	if now.Sub(c.renewed) < renewEvery {
		return nil
	}
	left := c.until.Sub(c.server.cfg.Now()) // none: a deadline in the past, which ends it
	if c.isEnding() {
		return nil // whoever ends it has set a deadline
	}
	c.renewed = now
	return c.conn.SetReadDeadline(now.Add(min(left, deadAfter)))
}

// pace reads on only when the client has not sent more than it may: what it has
// too much waits on its own side, and costs it alone.
func (c *client) pace(n int) time.Time {
	now := time.Now()
	wait := max(c.bytes.take(now, relay.HeaderSize+n), c.frames.take(now, 1))
	if wait >= time.Millisecond {
		c.server.counts.paced.Add(1)
		time.Sleep(min(wait, time.Second))
	}
	return now
}

func (c *client) frame(kind relay.Type, n int) error {
	if kind == relay.TypeSend {
		return c.forward(n)
	}
	if kind != relay.TypePing && kind != relay.TypeRenew {
		_, err := io.CopyN(io.Discard, c.conn, int64(n)) // of a later version
		return err
	}
	if n > wire.MaxTicket {
		return relay.ErrFrame
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.conn, body); err != nil {
		return err
	}
	if kind == relay.TypeRenew {
		return c.renew(body)
	}
	id, err := relay.ParsePing(body)
	if err != nil {
		return err
	}
	c.tell(relay.Append(nil, relay.TypePong, id[:]))
	return nil
}

// renew takes a newer ticket of the same node. A bad one ends the connection, as
// it would not have begun with it.
func (c *client) renew(ticket []byte) error {
	p, err := c.server.permit(ticket, c.key)
	if err != nil {
		return err
	}
	if c.server.meshes[p.Mesh] != c.mesh {
		return &relay.RefusedError{Code: relay.BadTicket, Text: "the ticket is of another mesh"}
	}
	c.until, c.renewed = p.NotAfter, time.Time{}
	return nil
}

// forward takes a datagram and gives it to whom it is for, with this client's
// own key in the place of the receiver's.
func (c *client) forward(n int) error {
	if n <= key.Size {
		return relay.ErrFrame
	}
	f := c.server.pool.Get(relay.HeaderSize + n)
	body := f.Bytes[relay.HeaderSize:]
	if _, err := io.ReadFull(c.conn, body); err != nil {
		c.server.pool.Put(f)
		return err
	}
	to := fair.Key(body)
	relay.PutHeader(f.Bytes, relay.TypeRecv, n)
	copy(body, c.raw[:])
	if receiver := c.find(to); receiver != nil {
		receiver.push(c.raw, f)
		return nil
	}
	c.server.pool.Put(f)
	c.server.counts.lost.Add(1)
	c.tell(relay.Append(nil, relay.TypePeerGone, to[:], []byte{byte(relay.NotHere)}))
	return nil
}

// find gives the connection that datagrams for k go to, or nil.
func (c *client) find(k fair.Key) *client {
	if c.last != nil && c.lastKey == k {
		if receiver := c.last.newest.Load(); receiver != nil {
			return receiver
		}
	}
	to, err := key.NodePublicFrom(k[:])
	if err != nil {
		return nil
	}
	if c.last = c.mesh.find(to); c.last == nil {
		return nil
	}
	c.lastKey = k
	return c.last.newest.Load()
}

// finish ends a connection whose reading ended with err, and says why if that
// was the relay's decision.
func (c *client) finish(err error) {
	code, text := reasonOf(err)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.until.Sub(c.server.cfg.Now()) <= 0 {
		code, text = relay.BadTicket, "the ticket ended"
	}
	if code != 0 {
		c.end(code, text)
		discard(c.conn)
	}
	c.close()
}
