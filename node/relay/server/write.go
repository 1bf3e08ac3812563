package server

import (
	"time"

	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/internal/fair"
)

const (
	// maxControl is how many bytes of the relay's own frames wait for a client.
	// Beyond it they are lost: a client that asks for more answers than it reads.
	maxControl = 4 << 10
	// A client that takes nothing for stuckAfter is dead, or might as well be.
	stuckAfter = 30 * time.Second
)

// start has the Welcome written, ahead of all datagrams.
func (c *client) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write()
}

// push queues a datagram of another client and has it written. It does not block.
func (c *client) push(from fair.Key, f *fair.Frame) {
	n := len(f.Bytes)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.server.pool.Put(f)
		c.server.counts.lost.Add(1)
		return
	}
	dropped := c.queue.Push(from, f)
	c.write()
	c.mu.Unlock()
	c.server.counts.relayed(n, dropped)
}

// tell queues a frame of the relay itself, before all datagrams.
func (c *client) tell(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.ending || len(c.control)+len(frame) > maxControl {
		return
	}
	c.control = append(c.control, frame...)
	c.write()
}

func (c *client) notice(kind relay.NoticeKind, text string) {
	c.tell(relay.AppendText(nil, relay.TypeNotice, byte(kind), text))
}

// end has the client told why, and the connection closed.
func (c *client) end(code relay.Code, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.ending {
		return
	}
	c.ending = true
	c.server.counts.refused.Add(1)
	c.control = relay.AppendText(c.control, relay.TypeRefused, byte(code), why)
	c.write()
}

func (c *client) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// write sees to it that somebody writes what waits. c.mu is held, and c is not
// closed: so the goroutine that reads still counts as running.
func (c *client) write() {
	if c.writing {
		return
	}
	c.writing = true
	c.server.running.Add(1)
	go c.flush()
}

// flush writes until nothing waits. What is queued while a write is under way
// goes out in the next, together: under load one system call serves many frames.
func (c *client) flush() {
	defer c.server.running.Done()
	out := c.server.pool.Get(fair.Largest)
	defer c.server.pool.Put(out)
	for {
		n, end := c.batch(out.Bytes)
		if n == 0 {
			return
		}
		err := c.conn.SetWriteDeadline(time.Now().Add(stuckAfter))
		if err == nil {
			_, err = c.conn.Write(out.Bytes[:n])
		}
		if err != nil {
			c.close()
			return
		}
		if end {
			c.hangUp()
			return
		}
	}
}

// batch fills out with frames, and tells whether they are the last ever. With
// nothing to write, the writer is done.
func (c *client) batch(out []byte) (n int, end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = copy(out, c.control)
	c.control = nil
	if c.ending {
		return n, true
	}
	n = c.queue.Fill(out, n)
	c.writing = n > 0
	return n, false
}

// hangUp ends our half, so that the client reads the reason before anything ends.
func (c *client) hangUp() {
	half, ok := c.conn.(halfCloser)
	if !ok || half.CloseWrite() != nil || c.conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		c.close()
	}
}

// close closes the connection and drops what waits. The reader finds out.
func (c *client) close() {
	c.mu.Lock()
	c.closed = true
	c.control = nil
	c.queue.Clear()
	c.mu.Unlock()
	c.conn.Close()
}
