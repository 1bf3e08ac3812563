package path

import (
	"container/heap"
	"time"
)

// timers are the peers that have a deadline, the earliest first.
type timers []*peer

// plan sets, moves or (zero) removes the deadline of p.
func (t *timers) plan(p *peer, at time.Time) {
	switch {
	case at.IsZero() && p.index >= 0:
		heap.Remove(t, p.index)
	case at.IsZero():
	case p.index < 0:
		p.deadline = at
		heap.Push(t, p)
	case !p.deadline.Equal(at):
		p.deadline = at
		heap.Fix(t, p.index)
	}
}

// Len, Less, Swap, Push and Pop are heap.Interface's.
func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].deadline.Before(t[j].deadline) }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push adds x, a *peer.
func (t *timers) Push(x any) {
	p := x.(*peer)
	p.index = len(*t)
	*t = append(*t, p)
}

// Pop removes the last.
func (t *timers) Pop() any {
	last := len(*t) - 1
	p := (*t)[last]
	(*t)[last], *t = nil, (*t)[:last]
	p.index = -1
	return p
}
