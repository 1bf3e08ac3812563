// Package fair holds datagrams that wait to be written, by whom they come from
// (at a relay) or whom they go to (at a node): a queue that is bounded in bytes
// and in frames, serves everybody in it by turns (deficit round robin, by bytes),
// and, where there is too much, takes the oldest from whoever has most in it. A
// flood of one costs that one alone, and what is old is of the least use.
//
// It keeps no clock, starts nothing and is not safe for concurrent use. What it
// drops goes back to the [Pool] by itself.
package fair

// Key is whom a frame is counted to.
type Key = [32]byte

// quantum is how many bytes one may write before it is the next one's turn: a
// full packet and its header.
const quantum = 2048

// Batch is how many bytes are worth one write: the plaintext of one full TLS record.
const Batch = 16 << 10

// Queue is a bounded fair queue. The zero value holds nothing and drops all: use
// [New].
type Queue struct {
	pool      *Pool
	maxBytes  int
	maxFrames int

	bytes, frames int
	flows         map[Key]*flow
	turn          *flow // of the ring of those who wait; nil: nobody
	spare         *flow // kept, so that one who comes and goes costs nothing
}

// flow is what waits of one, the oldest first.
type flow struct {
	key            Key
	first, last    *Frame
	bytes, deficit int
	next, before   *flow // the ring
}

// New makes a queue for at most maxBytes in maxFrames.
func New(pool *Pool, maxBytes, maxFrames int) Queue {
	return Queue{pool: pool, maxBytes: maxBytes, maxFrames: maxFrames}
}

// Push takes f, which belongs to the queue from here on, and tells how many
// frames were dropped to make room. That may be f itself.
func (q *Queue) Push(from Key, f *Frame) (dropped int) {
	if len(f.Bytes) > q.maxBytes || q.maxFrames < 1 {
		q.pool.Put(f)
		return 1
	}
	w := q.flow(from)
	if w.last == nil {
		w.first = f
	} else {
		w.last.next = f
	}
	w.last = f
	q.count(w, len(f.Bytes), 1)
	for q.bytes > q.maxBytes || q.frames > q.maxFrames {
		q.pool.Put(q.take(q.heaviest()))
		dropped++
	}
	return dropped
}

// Pop gives the next frame, which belongs to the caller, or nil.
func (q *Queue) Pop() *Frame {
	for q.turn != nil {
		w := q.turn
		if n := len(w.first.Bytes); n <= w.deficit {
			w.deficit -= n
			return q.take(w)
		}
		w.deficit += quantum
		q.turn = w.next
	}
	return nil
}

// Next tells how long the frame is that Pop would give, 0 if none.
func (q *Queue) Next() int {
	for q.turn != nil && len(q.turn.first.Bytes) > q.turn.deficit {
		q.turn.deficit += quantum
		q.turn = q.turn.next
	}
	if q.turn == nil {
		return 0
	}
	return len(q.turn.first.Bytes)
}

// Fill copies frames into out behind its first n bytes, each at its turn, until no
// more fit into a Batch, and gives how many bytes are filled then. The first frame
// may be longer if n is 0: out has room for [Largest].
func (q *Queue) Fill(out []byte, n int) int {
	for next := q.Next(); next > 0 && (n == 0 || n+next <= Batch); next = q.Next() {
		f := q.Pop()
		n += copy(out[n:], f.Bytes)
		q.pool.Put(f)
	}
	return n
}

// Clear drops all.
func (q *Queue) Clear() {
	for q.turn != nil {
		q.pool.Put(q.take(q.turn))
	}
	q.flows, q.spare = nil, nil
}

func (q *Queue) count(w *flow, bytes, frames int) {
	w.bytes += bytes
	q.bytes += bytes
	q.frames += frames
}

// take gives the oldest frame of w, and lets w go with its last.
func (q *Queue) take(w *flow) *Frame {
	f := w.first
	w.first, f.next = f.next, nil
	q.count(w, -len(f.Bytes), -1)
	if w.first == nil {
		w.last = nil
		q.leave(w)
	}
	return f
}

// flow gives the flow of k. A new one has its turn last, and one quantum.
func (q *Queue) flow(k Key) *flow {
	if q.turn != nil && q.turn.key == k {
		return q.turn
	}
	if w := q.flows[k]; w != nil {
		return w
	}
	w := q.spare
	if q.spare = nil; w == nil {
		w = new(flow)
	}
	w.key, w.deficit = k, quantum
	if q.flows == nil {
		q.flows = make(map[Key]*flow, 1)
	}
	q.flows[k] = w
	if q.turn == nil {
		w.next, w.before = w, w
		q.turn = w
		return w
	}
	w.next, w.before = q.turn, q.turn.before
	w.before.next, w.next.before = w, w
	return w
}

func (q *Queue) leave(w *flow) {
	delete(q.flows, w.key)
	w.before.next, w.next.before = w.next, w.before
	if q.turn == w {
		q.turn = w.next
	}
	if q.turn == w {
		q.turn = nil
	}
	w.next, w.before = nil, nil
	q.spare = w
}

// heaviest walks over all who wait: it is asked only where there is too much,
// and there are never more than frames.
func (q *Queue) heaviest() *flow {
	most := q.turn
	for w := q.turn.next; w != q.turn; w = w.next {
		if w.bytes > most.bytes {
			most = w
		}
	}
	return most
}
