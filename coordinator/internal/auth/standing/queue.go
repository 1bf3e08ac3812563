package standing

import (
	"container/heap"
	"time"
)

// entry is a session that is asked for, again and again.
type entry struct {
	Watched
	due time.Time
	at  int // its place in the queue; none: it is in none, for the question is under way
}

const none = -1

// queue holds who waits for their question, whoever is due first at the front: that one
// alone is taken, so that nobody is passed over, however many are overdue.
type queue []*entry

// Len is heap.Interface's.
func (q queue) Len() int { return len(q) }

// Less is heap.Interface's.
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

// Swap is heap.Interface's.
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is heap.Interface's.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.at = len(*q)
	*q = append(*q, e)
}

// Pop is heap.Interface's.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q, e.at = (*q)[:last], none
	return e
}

func (q *queue) add(e *entry, due time.Time) {
	e.due = due
	heap.Push(q, e)
}

// take takes whoever is at the front. There is somebody.
func (q *queue) take() *entry { return heap.Pop(q).(*entry) }

// remove takes somebody out who will not be asked for, wherever they wait.
func (q *queue) remove(e *entry) {
	if e.at != none {
		heap.Remove(q, e.at)
	}
}

// late gives for how long whoever is at the front is overdue.
func (q queue) late(now time.Time) time.Duration {
	if len(q) == 0 {
		return 0
	}
	return max(0, now.Sub(q[0].due))
}

// maxBeat is how long who is due may wait for others who are asked for in the same moment.
// A processor that is awake with its caches warm, and a write of one transaction for all of
// them, make a question cheaper by a third; of a span it is next to nothing. It is shorter than
// a connection to the provider is kept.
const maxBeat = 3 * time.Second

// onBeat gives the first moment at which questions begin that is not before another.
func onBeat(t time.Time, beat time.Duration) time.Time {
	into := t.Sub(t.Truncate(beat))
	if into == 0 {
		return t
	}
	return t.Add(beat - into) // and not of what was truncated, by which a clock that is set back would hold everybody up
}

// pace spreads questions that have heaped up, as after hours in which the provider gave
// none an answer: it would else be asked for a whole hospital in the moment in which it
// is back, and again a span later, and again.
type pace struct{ free time.Time }

// inARow is how many questions in a row the pace lets pass, if a beat has not more.
const inARow = 8

// from gives from when on there may be another question.
func (p *pace) from() time.Time { return p.free }

// count counts a question at a moment, of so many sessions each of which has one in a
// span: no more than twice as many are asked as there must be.
func (p *pace) count(now time.Time, span, beat time.Duration, sessions int) {
	gap := span / time.Duration(2*max(sessions, 1))
	if earliest := now.Add(-max(inARow*gap, beat)); p.free.Before(earliest) {
		p.free = earliest
	}
	p.free = p.free.Add(gap)
}
