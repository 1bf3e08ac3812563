// Package pathtest is a small internet in virtual time, for tests of paths:
// hosts, local networks, NATs of the usual kinds, delay, loss and cuts. It has
// no goroutine and no clock: Run moves its time from event to event. The same
// seed gives the same run, and Trace draws who sent what to whom.
package pathtest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Link is how packets fare from one interface to another.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // added at random, up to this
	Loss   float64       // share of packets lost
	Cut    bool          // loses all, silently
}

// Internet joins networks. Packets to an address that nobody has vanish.
type Internet struct {
	now   time.Time
	rng   *rand.Rand
	queue events
	links map[[2]netip.Addr]Link
	nics  []*NIC
	nats  map[netip.Addr]*NAT
	nodes []*Node
	trace []string

	// Default is the link between interfaces that have none of their own.
	Default Link
}

// New makes an empty internet.
func New(seed uint64) *Internet {
	return &Internet{
		now:     time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		rng:     rand.New(rand.NewPCG(seed, seed)),
		links:   map[[2]netip.Addr]Link{},
		nats:    map[netip.Addr]*NAT{},
		Default: Link{Delay: 10 * time.Millisecond},
	}
}

// Now is the virtual time.
func (n *Internet) Now() time.Time { return n.now }

// Connect sets the link between two interfaces, both ways. Behind a NAT it is
// the interface of the host that counts, not the NAT.
func (n *Internet) Connect(a, b *NIC, l Link) {
	n.links[[2]netip.Addr{a.addr, b.addr}] = l
	n.links[[2]netip.Addr{b.addr, a.addr}] = l
}

// ConnectOneWay sets the link from a to b only.
func (n *Internet) ConnectOneWay(a, b *NIC, l Link) { n.links[[2]netip.Addr{a.addr, b.addr}] = l }

// Trace draws the last packets, one a line.
func (n *Internet) Trace() string { return strings.Join(n.trace, "\n") }

func (n *Internet) note(format string, args ...any) {
	line := fmt.Sprintf("%9.3fs ", n.now.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Seconds())
	if n.trace = append(n.trace, line+fmt.Sprintf(format, args...)); len(n.trace) > 200 {
		n.trace = slices.Delete(n.trace, 0, 50)
	}
}

// NIC is an interface of a node.
type NIC struct {
	node *Node
	addr netip.Addr
	lan  string // interfaces of one local network reach each other directly
	nat  *NAT   // nil: the address is public, or leads nowhere but the lan
	down bool
}

// Addr is the address of the interface with the node's port.
func (c *NIC) Addr() netip.AddrPort { return netip.AddrPortFrom(c.addr, c.node.port) }

// SetDown takes the interface down or up. The node is not told.
func (c *NIC) SetDown(down bool) { c.down = down }

// SetAddr gives the interface another address, as DHCP does.
func (c *NIC) SetAddr(a string) { c.addr = netip.MustParseAddr(a) }

func public(a netip.Addr) bool { return !a.IsPrivate() && !a.IsLoopback() }

// send carries a datagram from an interface towards an address.
func (n *Internet) send(from *NIC, to netip.AddrPort, b []byte) {
	src := from.Addr()
	if from.lan != "" {
		if c := n.nic(to.Addr(), from.lan); c != nil {
			n.carry(from, c, src, to, b)
			return
		}
	}
	if !public(to.Addr()) {
		n.note("%s: no route to %v", from.node.name, to)
		return
	}
	if from.nat != nil {
		src = from.nat.out(n.now, src, to)
	}
	if nat := n.nats[to.Addr()]; nat != nil {
		inner, ok := nat.in(n.now, src, to.Port())
		c := n.nic(inner.Addr(), nat.lan)
		if !ok || c == nil {
			n.note("%s: %v -> %v dropped by the NAT", from.node.name, src, to)
			return
		}
		n.carry(from, c, src, inner, b)
		return
	}
	if c := n.nic(to.Addr(), ""); c != nil {
		n.carry(from, c, src, to, b)
	}
}

// nic finds an interface; lan "" finds public ones.
func (n *Internet) nic(a netip.Addr, lan string) *NIC {
	for _, c := range n.nics {
		if c.addr == a && !c.down && (c.lan == lan || lan == "" && public(a)) {
			return c
		}
	}
	return nil
}

func (n *Internet) carry(from, to *NIC, src, dst netip.AddrPort, b []byte) {
	l, ok := n.links[[2]netip.Addr{from.addr, to.addr}]
	if !ok {
		l = n.Default
	}
	lost := l.Cut || n.rng.Float64() < l.Loss
	n.note("%s -> %s  %v -> %v  %s%s", from.node.name, to.node.name, src, dst, describe(b), map[bool]string{true: "  LOST"}[lost])
	if lost || dst.Port() != to.node.port {
		return
	}
	delay := l.Delay
	if l.Jitter > 0 {
		delay += time.Duration(n.rng.Int64N(int64(l.Jitter)))
	}
	n.At(n.now.Add(delay), func() { to.node.receive(to, src, b) })
}

// At does something at a virtual time.
func (n *Internet) At(t time.Time, do func()) {
	n.queue.seq++
	heap.Push(&n.queue, event{t, n.queue.seq, do})
}

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
			if t := node.Set.Next(); !t.IsZero() && t.Before(next) {
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
