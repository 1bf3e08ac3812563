package pathtest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// Node is a host with a path.Set, as package transport would run it.
type Node struct {
	Set *path.Set
	// Paths is where each peer is reached now.
	Paths map[string]path.Way
	// What the node did so far.
	Moves      int // Moved actions
	Asked      int // probe requests sent, without those that are padded
	Sized      int // padded ones
	Replied    int // answers sent
	Called     int // calls sent
	Unanswered int // searches in vain
	Gathered   int // looks for its own addresses
	// Sent and Received count the data that left and came in; LastData and
	// LastFrom are when it last did, and from where.
	Sent, Received int
	LastData       time.Time
	LastFrom       path.Way
	// Answers is when an answer last came in on a way, authentic or not.
	Answers map[path.Way]time.Time
	// Watch is told every action, if it is set.
	Watch func(path.Action)

	net    *Internet
	name   string
	port   uint16
	nics   []*NIC
	mapped map[*NIC]netip.AddrPort // as STUN servers see them
	home   *Relay
	via    map[netip.AddrPort]*NIC // where authentic datagrams came in
	owner  map[path.Way]string     // from which peer
	told   map[path.Way]time.Time  // when the Set was last told of data on this way
	wished map[string]time.Time    // when it was last told of data to a peer
	known  []string
	frozen time.Time // until when it sleeps
	peer   path.Peer
}

// Node adds a node with fresh keys, which listens on port 41641 of all its
// interfaces.
func (n *Internet) Node(name string) *Node {
	identity, pathKey := key.NewNode(), key.NewPath()
	newID := func() (id probe.ID) {
		binary.BigEndian.PutUint64(id[:], n.rng.Uint64())
		return id
	}
	set, err := path.NewSet(path.Config{Self: identity.Public(), Key: &pathKey, NewID: newID, LinkMTU: n.LinkMTU})
	if err != nil {
		panic("pathtest: " + err.Error())
	}
	node := &Node{
		Set: set, Paths: map[string]path.Way{}, net: n, name: name, port: 41641,
		mapped: map[*NIC]netip.AddrPort{}, via: map[netip.AddrPort]*NIC{}, owner: map[path.Way]string{},
		Answers: map[path.Way]time.Time{}, told: map[path.Way]time.Time{}, wished: map[string]time.Time{},
		peer: path.Peer{ID: name, Node: identity.Public(), Path: pathKey.Public()},
	}
	n.nodes = append(n.nodes, node)
	return node
}

func (n *Internet) node(name string) *Node {
	for _, d := range n.nodes {
		if d.name == name {
			return d
		}
	}
	return nil
}

// Public gives the node an interface with a public address.
func (d *Node) Public(addr string) *NIC { return d.attach(&NIC{addr: netip.MustParseAddr(addr)}) }

// Private gives the node an interface on a local network, behind nat if that is
// not nil.
func (d *Node) Private(lan, addr string, nat *NAT) *NIC {
	return d.attach(&NIC{addr: netip.MustParseAddr(addr), lan: lan, nat: nat})
}

func (d *Node) attach(c *NIC) *NIC {
	c.node = d
	d.nics = append(d.nics, c)
	d.net.nics = append(d.net.nics, c)
	return c
}

// SetHome makes the node at home at a relay.
func (d *Node) SetHome(r *Relay) {
	d.home = r
	d.peer.Home = ""
	if r != nil {
		d.peer.Home = r.name
		r.dial(d)
	}
}

func (d *Node) online() bool {
	return slices.ContainsFunc(d.nics, func(c *NIC) bool { return !c.down && (c.lan == "" || c.nat != nil) })
}

// Peer is how a map would name this node, with these candidates.
func (d *Node) Peer(candidates ...netip.AddrPort) path.Peer {
	p := d.peer
	p.Candidates = candidates
	return p
}

// Meet makes peers the whole map of the node.
func (d *Node) Meet(peers ...path.Peer) {
	if err := d.Set.SetPeers(d.net.now, peers); err != nil {
		panic("pathtest: " + err.Error())
	}
	d.known = nil
	for _, p := range peers {
		d.known = append(d.known, p.ID)
	}
	d.flush()
}

// Introduce has two nodes look for their addresses, and puts each into the
// other's map with what was found.
func (n *Internet) Introduce(a, b *Node) {
	a.Gather()
	b.Gather()
	n.Run(time.Second)
	a.Meet(b.Peer(b.Own()...))
	b.Meet(a.Peer(a.Own()...))
}

// At is the address to which packets for a peer go; invalid: none.
func (d *Node) At(peer string) netip.AddrPort { return d.Paths[peer].Addr }

// Want tells the node that somebody wants to send to peer.
func (d *Node) Want(peer string) { d.Set.Want(d.net.now, peer); d.flush() }

// Ping has the node ask peer now.
func (d *Node) Ping(peer string) { d.Set.Ping(d.net.now, peer); d.flush() }

// Survey has the node ask peer at its addresses in some networks, and gives how
// many these are.
func (d *Node) Survey(peer string, networks ...netip.Prefix) int {
	n := d.Set.Survey(d.net.now, peer, networks)
	d.flush()
	return n
}

// NetworkChanged tells the node that its addresses changed; its connections to
// relays are made anew.
func (d *Node) NetworkChanged() {
	clear(d.via)
	clear(d.mapped)
	d.Set.NetworkChanged(d.net.now)
	for _, name := range slices.Sorted(relayNames(d.net)) {
		d.net.relays[name].redial(d)
	}
	d.flush()
}

func relayNames(n *Internet) func(func(path.Relay) bool) {
	return func(yield func(path.Relay) bool) {
		for name := range n.relays {
			if !yield(name) {
				return
			}
		}
	}
}

// Stream sends data to peer every so often, until the time is over. As package
// transport does, it tells the Set of it once a second.
func (d *Node) Stream(peer string, every, length time.Duration) {
	end := d.net.now.Add(length)
	var send func()
	send = func() {
		if d.asleep() {
			d.net.At(d.frozen, send)
			return
		}
		if at, ok := d.wished[peer]; !ok || d.net.now.Sub(at) >= time.Second {
			d.wished[peer] = d.net.now
			d.Want(peer)
		}
		if to := d.Paths[peer]; to.IsValid() {
			d.Sent++
			d.SendTo(peer, to, []byte{4, 0, 0, 0, 'd', 'a', 't', 'a'})
		}
		if d.net.now.Before(end) {
			d.net.After(every, send)
		}
	}
	send()
}

// SendTo sends a datagram to a peer on a way.
func (d *Node) SendTo(peer string, to path.Way, b []byte) {
	if !to.Relayed() {
		d.Send(to.Addr, b)
	} else if r := d.net.relays[to.Relay]; r != nil {
		r.send(d, peer, b)
	}
}

// Send sends a datagram by the interface at which an authentic one came in from
// there, else by the first that leads there.
func (d *Node) Send(to netip.AddrPort, b []byte) { d.send(to, b, false, false) }

func (d *Node) send(to netip.AddrPort, b []byte, fresh, whole bool) {
	if c := d.via[to]; c != nil && !c.down && !fresh {
		d.net.send(datagram{origin: c, dst: to, body: b, whole: whole})
		return
	}
	var way *NIC
	for _, c := range d.nics {
		local := c.lan != "" && d.net.nic(to.Addr(), c.lan) != nil
		out := c.lan == "" || c.nat != nil
		if c.down || c.addr.Is4() != to.Addr().Is4() || !local && !out {
			continue
		}
		if local || way == nil {
			way = c
		}
		if local {
			break
		}
	}
	if way != nil {
		d.net.send(datagram{origin: way, dst: to, body: b, whole: whole})
	}
}

// receive takes what came in at an interface.
func (d *Node) receive(c *NIC, src netip.AddrPort, b []byte) {
	switch {
	case d.asleep():
	case len(b) > 0 && b[0] == answer:
		d.learn(c, b)
	case !probe.Is(b):
		d.data(path.Direct(src))
	default:
		d.mark(path.Direct(src), b)
		d.Set.Receive(d.net.now, path.Direct(src), b)
		actions := d.Set.Take()
		for _, a := range actions {
			if a.To.Addr == src {
				d.via[src], d.owner[path.Direct(src)] = c, a.Peer
			}
		}
		d.perform(actions)
	}
}

// take takes what came through a relay.
func (d *Node) take(from path.Way, b []byte) {
	if d.asleep() {
		return
	}
	if !probe.Is(b) {
		d.data(from)
		return
	}
	d.mark(from, b)
	d.Set.Receive(d.net.now, from, b)
	actions := d.Set.Take()
	for _, a := range actions {
		if a.To == from {
			d.owner[from] = a.Peer
		}
	}
	d.perform(actions)
}

func (d *Node) mark(from path.Way, b []byte) {
	if h, ok := probe.Peek(b); ok && h.Kind == probe.Answer {
		d.Answers[from] = d.net.now
	}
}

// data counts data, and tells the Set of it five times a second.
func (d *Node) data(from path.Way) {
	d.Received++
	d.LastData, d.LastFrom = d.net.now, from
	peer, known := d.owner[from]
	if at := d.told[from]; known && d.net.now.Sub(at) >= 200*time.Millisecond {
		d.told[from] = d.net.now
		d.Set.Heard(d.net.now, peer, from)
		d.flush()
	}
}

// Freeze stops the node for a while, as sleep does: it neither sends nor
// receives, and its timers are late. Who wakes it calls NetworkChanged.
func (d *Node) Freeze(length time.Duration) { d.frozen = d.net.now.Add(length) }

func (d *Node) asleep() bool { return d.net.now.Before(d.frozen) }

func (d *Node) tick() {
	if d.asleep() {
		return
	}
	d.Set.Tick(d.net.now)
	d.flush()
}

// next is when tick has something to do; zero if never.
func (d *Node) next() time.Time {
	t := d.Set.Next()
	if !t.IsZero() && t.Before(d.frozen) {
		return d.frozen
	}
	return t
}

func (d *Node) flush() { d.perform(d.Set.Take()) }

func (d *Node) perform(actions []path.Action) {
	for _, a := range actions {
		if d.Watch != nil {
			d.Watch(a)
		}
		switch a.Do {
		case path.Send:
			d.count(a)
			if a.To.Relayed() {
				d.SendTo(a.Peer, a.To, a.Datagram)
			} else {
				d.send(a.To.Addr, a.Datagram, a.Fresh, a.Whole)
			}
		case path.Moved:
			d.Moves++
			d.Paths[a.Peer] = a.To
			d.net.note("%s: path to %s is now %v", d.name, a.Peer, a.To)
		case path.Unanswered:
			d.Unanswered++
		case path.Gather:
			d.net.After(0, d.Gather)
		}
	}
}

func (d *Node) count(a path.Action) {
	h, _ := probe.Peek(a.Datagram)
	switch {
	case a.Whole:
		d.Sized++
	case h.Kind == probe.Request:
		d.Asked++
	case h.Kind == probe.Answer:
		d.Replied++
	case h.Kind == probe.Call:
		d.Called++
	}
}

func describe(b []byte) string {
	h, ok := probe.Peek(b)
	switch {
	case ok && h.Kind == probe.Request:
		return fmt.Sprintf("request %x of %d", h.ID[:2], len(b))
	case ok && h.Kind == probe.Answer:
		return fmt.Sprintf("answer %x", h.ID[:2])
	case ok:
		return "call"
	case len(b) > 0 && (b[0] == question || b[0] == answer):
		return "stun " + string(b)
	}
	return fmt.Sprintf("%d bytes", len(b))
}
