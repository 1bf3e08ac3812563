package transport

import (
	"net"
	"sync"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
)

// Bounds of what waits between the relays and wireguard-go. Who has most to send
// is a peer of the map, and the oldest is what WireGuard misses least.
const (
	queueSize  = 256       // datagrams
	queueBytes = 512 << 10 // in them
	// bufferSize is the size of buffers that are kept for reuse: a datagram of an
	// ordinary link. A larger one gets a buffer of its own.
	bufferSize = 2048
)

// queue holds relayed datagrams until wireguard-go asks for them. It is open while
// the bind is. Pushing never waits: when the queue is full the oldest make room.
type queue struct {
	mu    sync.Mutex
	ready sync.Cond // L is mu: something waits, or the queue was closed
	ring  []queued  // queueSize of them; nil until first opened
	first int       // the oldest
	count int
	bytes int // in those that wait
	free  [][]byte
	turn  int // which opening it is
	up    atomic.Bool
}

type queued struct {
	from *sender
	data []byte
}

func newQueue() *queue {
	q := new(queue)
	q.ready.L = &q.mu
	return q
}

// isOpen tells whether the bind is open.
func (q *queue) isOpen() bool { return q.up.Load() }

// open makes a closed queue take datagrams, and gives the function that receives
// them until it is closed again.
func (q *queue) open() conn.ReceiveFunc {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ring == nil {
		q.ring = make([]queued, queueSize)
	}
	q.turn++
	q.up.Store(true)
	turn := q.turn
	return func(bufs [][]byte, sizes []int, eps []conn.Endpoint) (int, error) {
		return q.receive(turn, bufs, sizes, eps)
	}
}

// close drops what waits, as a socket does, and gives the memory back.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up.Store(false)
	clear(q.ring)
	q.first, q.count, q.bytes, q.free = 0, 0, 0, nil
	q.ready.Broadcast()
}

// push queues a copy of a datagram, if the queue is open.
func (q *queue) push(from *sender, datagram []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.isOpen() {
		return
	}
	for q.count == len(q.ring) || q.count > 0 && q.bytes+len(datagram) > queueBytes {
		q.release(q.pop())
	}
	at := (q.first + q.count) % len(q.ring)
	q.ring[at] = queued{from, append(q.buffer(len(datagram)), datagram...)}
	q.count++
	q.bytes += len(datagram)
	q.ready.Signal()
}

// receive is a conn.ReceiveFunc. What does not fit into its buffer is dropped.
func (q *queue) receive(turn int, bufs [][]byte, sizes []int, eps []conn.Endpoint) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.isOpen() && q.turn == turn && q.count == 0 {
		q.ready.Wait()
	}
	if !q.isOpen() || q.turn != turn {
		return 0, net.ErrClosed
	}
	for n < len(bufs) && q.count > 0 {
		d := q.pop()
		if len(d.data) <= len(bufs[n]) {
			sizes[n], eps[n] = copy(bufs[n], d.data), d.from
			n++
		}
		q.release(d)
	}
	return n, nil
}

// pop takes the oldest out.
func (q *queue) pop() queued {
	d := q.ring[q.first]
	q.ring[q.first] = queued{}
	q.first = (q.first + 1) % len(q.ring)
	q.count--
	q.bytes -= len(d.data)
	return d
}

// buffer gives an empty one with room for n bytes.
func (q *queue) buffer(n int) []byte {
	if n > bufferSize {
		return make([]byte, 0, n)
	}
	last := len(q.free) - 1
	if last < 0 {
		return make([]byte, 0, bufferSize)
	}
	b := q.free[last]
	q.free = q.free[:last]
	return b
}

// release keeps the buffer of a datagram that nobody needs any more. There are
// never more of them than datagrams once waited.
func (q *queue) release(d queued) {
	if cap(d.data) == bufferSize {
		q.free = append(q.free, d.data[:0])
	}
}
