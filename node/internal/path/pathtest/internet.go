// Package pathtest is a small internet in virtual time, for tests of paths:
// hosts, local networks, NATs and firewalls of all kinds (RFC 4787), relays, STUN
// servers, delay, loss, MTU and cuts. It has no goroutine and no clock: Run moves
// its time from event to event. The same seed gives the same run, and Trace
// draws who sent what to whom.
package pathtest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
)

// Internet joins networks. Packets to an address that nobody has vanish.
type Internet struct {
	now     time.Time
	rng     *rand.Rand
	queue   events
	links   map[[2]*NIC]Link
	nics    []*NIC
	nats    map[outlet]*NAT
	nodes   []*Node
	relays  map[path.Relay]*Relay
	servers []netip.Addr
	trace   []string

	// Default is the link between interfaces that have none of their own.
	Default Link
	// Hints is how long the coordinator takes to tell peers of new addresses;
	// negative: it is down.
	Hints time.Duration
	// LinkMTU is what nodes that are added believe of their links; see
	// path.Config.
	LinkMTU int
	// Turns counts the moments at which something happened: time that stands
	// still while they grow is a livelock.
	Turns int
}

// New makes an empty internet.
func New(seed uint64) *Internet {
	return &Internet{
		now:     dawn(),
		rng:     rand.New(rand.NewPCG(seed, seed)),
		links:   map[[2]*NIC]Link{},
		nats:    map[outlet]*NAT{},
		relays:  map[path.Relay]*Relay{},
		Default: Link{Delay: 10 * time.Millisecond},
		Hints:   50 * time.Millisecond,
	}
}

func dawn() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// Now is the virtual time.
func (n *Internet) Now() time.Time { return n.now }

// Trace draws the last packets, one a line.
func (n *Internet) Trace() string { return strings.Join(n.trace, "\n") }

func (n *Internet) note(format string, args ...any) {
	line := fmt.Sprintf("%9.3fs ", n.now.Sub(dawn()).Seconds())
	if n.trace = append(n.trace, line+fmt.Sprintf(format, args...)); len(n.trace) > 400 {
		n.trace = slices.Delete(n.trace, 0, 200)
	}
}

// At does something at a virtual time.
func (n *Internet) At(t time.Time, do func()) {
	n.queue.seq++
	heap.Push(&n.queue, event{t, n.queue.seq, do})
}

// After does something when so much time has passed.
func (n *Internet) After(d time.Duration, do func()) { n.At(n.now.Add(d), do) }

// Run lets virtual time pass.
func (n *Internet) Run(d time.Duration) { n.RunUntil(d, func() bool { return false }) }

// RunUntil lets time pass until done, at most d, and tells whether it came to be.
func (n *Internet) RunUntil(d time.Duration, done func() bool) bool {
	end := n.now.Add(d)
	for !done() {
		next := end
		if len(n.queue.list) > 0 && n.queue.list[0].at.Before(next) {
			next = n.queue.list[0].at
		}
		for _, node := range n.nodes {
			if t := node.next(); !t.IsZero() && t.Before(next) {
				next = t
			}
		}
		if next.After(n.now) {
			n.now = next
		}
		if !n.now.Before(end) {
			return done()
		}
		n.step()
	}
	return true
}

func (n *Internet) step() {
	n.Turns++
	if len(n.queue.list) > 0 && !n.queue.list[0].at.After(n.now) {
		heap.Pop(&n.queue).(event).do()
		return
	}
	for _, node := range n.nodes {
		node.tick()
	}
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

// events is a heap by time, then by order of planning.
type events struct {
	list []event
	seq  int
}

func (e *events) Len() int      { return len(e.list) }
func (e *events) Swap(i, j int) { e.list[i], e.list[j] = e.list[j], e.list[i] }
func (e *events) Push(x any)    { e.list = append(e.list, x.(event)) }
func (e *events) Less(i, j int) bool {
	a, b := e.list[i], e.list[j]
	return a.at.Before(b.at) || a.at.Equal(b.at) && a.seq < b.seq
}
func (e *events) Pop() any {
	last := len(e.list) - 1
	x := e.list[last]
	e.list = e.list[:last]
	return x
}
