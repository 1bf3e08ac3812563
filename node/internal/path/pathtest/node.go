package pathtest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// Node is a host with a path.Set, as package transport would run it.
type Node struct {
	Set *path.Set
	// Paths is where each peer is reached now.
	Paths map[string]netip.AddrPort
	// Moves counts the Moved actions, Asked the probe requests sent, Replied the
	// answers sent, Unanswered the searches in vain.
	Moves, Asked, Replied, Unanswered int
	// Received counts the data that came in; LastData and LastFrom are when it
	// last did, and from where.
	Received int
	LastData time.Time
	LastFrom netip.AddrPort

	net  *Internet
	name string
	port uint16
	nics []*NIC
	via  map[netip.AddrPort]*NIC // where authentic datagrams came in
	peer path.Peer
}

// Node adds a node with fresh keys, which listens on port 41641 of all its
// interfaces.
func (n *Internet) Node(name string) *Node {
	identity, pathKey := key.NewNode(), key.NewPath()
	newID := func() (id probe.ID) {
		binary.BigEndian.PutUint64(id[:], n.rng.Uint64())
		return id
	}
	set, err := path.NewSet(path.Config{Self: identity.Public(), Key: &pathKey, NewID: newID})
	if err != nil {
		panic("pathtest: " + err.Error())
	}
	node := &Node{
		Set: set, Paths: map[string]netip.AddrPort{}, via: map[netip.AddrPort]*NIC{}, net: n, name: name, port: 41641,
		peer: path.Peer{ID: name, Node: identity.Public(), Path: pathKey.Public()},
	}
	n.nodes = append(n.nodes, node)
	return node
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
	d.flush()
}

// Want tells the node that somebody wants to send to peer.
func (d *Node) Want(peer string) { d.Set.Want(d.net.now, peer); d.flush() }

// NetworkChanged tells the node that its addresses changed.
func (d *Node) NetworkChanged() { clear(d.via); d.Set.NetworkChanged(d.net.now); d.flush() }

// Stream sends data to peer every so often, until the time is over.
func (d *Node) Stream(peer string, every, length time.Duration) {
	end := d.net.now.Add(length)
	var send func()
	send = func() {
		d.Want(peer)
		if to := d.Paths[peer]; to.IsValid() {
			d.Send(to, []byte{4, 0, 0, 0, 'd', 'a', 't', 'a'})
		}
		if d.net.now.Before(end) {
			d.net.At(d.net.now.Add(every), send)
		}
	}
	send()
}

// Send sends a datagram by the interface at which an authentic one came in from
// there, else by the first that leads there.
func (d *Node) Send(to netip.AddrPort, b []byte) {
	if c := d.via[to]; c != nil && !c.down {
		d.net.send(c, to, b)
		return
	}
	d.route(to, b)
}

func (d *Node) route(to netip.AddrPort, b []byte) {
	for _, c := range d.nics {
		local := c.lan != "" && d.net.nic(to.Addr(), c.lan) != nil
		if !c.down && (local || public(to.Addr()) && (c.lan == "" || c.nat != nil)) {
			d.net.send(c, to, b)
			return
		}
	}
}

func (d *Node) receive(c *NIC, src netip.AddrPort, b []byte) {
	if !probe.Is(b) {
		d.Received++
		d.LastData, d.LastFrom = d.net.now, src
		return
	}
	d.Set.Receive(d.net.now, src, b)
	actions := d.Set.Take()
	for _, a := range actions {
		if a.To == src {
			d.via[src] = c
		}
	}
	d.perform(actions)
}

func (d *Node) tick() {
	d.Set.Tick(d.net.now)
	d.flush()
}

func (d *Node) flush() { d.perform(d.Set.Take()) }

func (d *Node) perform(actions []path.Action) {
	for _, a := range actions {
		switch a.Do {
		case path.Send:
			if h, _ := probe.Peek(a.Datagram); h.Kind == probe.Request {
				d.Asked++
			} else {
				d.Replied++
			}
			if a.Fresh {
				d.route(a.To, a.Datagram)
			} else {
				d.Send(a.To, a.Datagram)
			}
		case path.Moved:
			d.Moves++
			d.Paths[a.Peer] = a.To
			d.net.note("%s: path to %s is now %v", d.name, a.Peer, a.To)
		case path.Unanswered:
			d.Unanswered++
		}
	}
}

func describe(b []byte) string {
	h, ok := probe.Peek(b)
	switch {
	case ok && h.Kind == probe.Request:
		return fmt.Sprintf("request %x", h.ID[:2])
	case ok:
		return fmt.Sprintf("answer %x", h.ID[:2])
	}
	return fmt.Sprintf("%d bytes", len(b))
}
