package pathtest

import (
	"net/netip"
	"time"
)

// Link is how packets fare from one interface to another.
type Link struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // added at random, up to this: packets overtake each other
	Loss      float64       // share of packets lost
	Duplicate float64       // share of packets that come twice
	// MTU is the largest IP packet that passes whole, in bytes; 0: any. A larger
	// one vanishes if it must not be fragmented: no ICMP tells of it.
	MTU int
	Cut bool // loses all, silently
}

// NIC is an interface of a node.
type NIC struct {
	node *Node
	addr netip.Addr
	lan  string // interfaces of one local network reach each other directly; "": the internet
	nat  *NAT   // the way out of the lan; nil: none
	wall Wall
	sent map[netip.AddrPort]time.Time // whom a guarded interface has sent to
	down bool
}

// Wall is the firewall at an interface.
type Wall uint8

// Kinds of firewalls.
const (
	NoWall     Wall = iota
	Guarded         // lets in only who was sent to in the last half minute
	UDPBlocked      // lets no UDP out or in
)

// SetWall puts a firewall at the interface.
func (c *NIC) SetWall(w Wall) { c.wall, c.sent = w, map[netip.AddrPort]time.Time{} }

func (c *NIC) lets(now time.Time, peer netip.AddrPort, out bool) bool {
	switch {
	case c.down || c.wall == UDPBlocked:
		return false
	case c.wall != Guarded:
		return true
	case out:
		c.sent[peer] = now
		return true
	}
	at, ok := c.sent[peer]
	return ok && now.Sub(at) <= 30*time.Second
}

// Addr is the address of the interface with the node's port.
func (c *NIC) Addr() netip.AddrPort { return netip.AddrPortFrom(c.addr, c.node.port) }

// SetDown takes the interface down or up. The node is not told.
func (c *NIC) SetDown(down bool) { c.down = down }

// SetAddr gives the interface another address, as DHCP does.
func (c *NIC) SetAddr(a string) { c.addr = netip.MustParseAddr(a) }

// Roam takes the interface to another network, as a laptop goes from one Wi-Fi to
// the next. The node is not told.
func (c *NIC) Roam(lan, addr string, nat *NAT) {
	c.lan, c.nat = lan, nat
	c.SetAddr(addr)
}

// Connect sets the link between two interfaces, both ways, whatever lies
// between them.
func (n *Internet) Connect(a, b *NIC, l Link) {
	n.ConnectOneWay(a, b, l)
	n.ConnectOneWay(b, a, l)
}

// ConnectOneWay sets the link from a to b only.
func (n *Internet) ConnectOneWay(a, b *NIC, l Link) { n.links[[2]*NIC{a, b}] = l }

// datagram is one on its way. A NAT changes its addresses.
type datagram struct {
	origin   *NIC // nil: a server
	src, dst netip.AddrPort
	body     []byte
	whole    bool // must not be fragmented
}

// send carries a datagram from an interface outwards, network by network, until
// one knows its destination.
func (n *Internet) send(d datagram) {
	if !d.origin.lets(n.now, d.dst, true) {
		n.note("%s: %v stopped on its way out", d.origin.node.name, d.dst)
		return
	}
	d.src = d.origin.Addr()
	place, inside := d.origin.lan, (*NAT)(nil)
	for gate := d.origin.nat; !n.deliver(place, d, inside); gate = gate.outer {
		if gate == nil {
			n.note("%s: no route to %v", d.origin.node.name, d.dst)
			return
		}
		d.src = gate.out(n.now, d.src, d.dst)
		place, inside = gate.outside, gate
	}
}

// deliver carries a datagram to whoever has its destination at a place. It says
// no if nobody has; then it is for the network outside. The NAT through which it
// came lets it back only if it hairpins (RFC 4787 section 6).
func (n *Internet) deliver(place string, d datagram, through *NAT) bool {
	if c := n.nic(d.dst.Addr(), place); c != nil {
		n.carry(d, c)
		return true
	}
	nat := n.nats[outlet{place, d.dst.Addr()}]
	if nat == nil {
		if place == "" {
			n.serve(d)
		}
		return place == ""
	}
	inner, ok := nat.in(n.now, d.src, d.dst.Port())
	if nat == through && !nat.Hairpin {
		ok = false
	}
	if outer := d.dst; ok {
		if d.dst = inner; n.deliver(nat.lan, d, nil) {
			return true
		}
		d.dst = outer
	}
	n.note("%v -> %v dropped by the NAT  %s", d.src, d.dst, describe(d.body))
	return true
}

// nic finds the interface with an address at a place.
func (n *Internet) nic(a netip.Addr, place string) *NIC {
	for _, c := range n.nics {
		if c.addr == a && !c.down && c.lan == place {
			return c
		}
	}
	return nil
}

func (n *Internet) carry(d datagram, to *NIC) {
	l, ok := n.links[[2]*NIC{d.origin, to}]
	if !ok {
		l = n.Default
	}
	from, fate := "server", ""
	if d.origin != nil {
		from = d.origin.node.name
	}
	switch {
	case l.Cut || n.rng.Float64() < l.Loss:
		fate = "  LOST"
	case d.whole && l.MTU > 0 && packetSize(d) > l.MTU:
		fate = "  TOO BIG"
	case d.dst.Port() != to.node.port:
		fate = "  NO SUCH PORT"
	}
	n.note("%s -> %s  %v -> %v  %s%s", from, to.node.name, d.src, d.dst, describe(d.body), fate)
	if fate != "" {
		return
	}
	copies := 1
	if l.Duplicate > 0 && n.rng.Float64() < l.Duplicate {
		copies = 2
	}
	for range copies {
		n.After(l.Delay+n.upTo(l.Jitter), func() {
			if to.lets(n.now, d.src, false) {
				to.node.receive(to, d.src, d.body)
			}
		})
	}
}

// packetSize is the size of the IP packet of a datagram in bytes.
func packetSize(d datagram) int {
	if d.dst.Addr().Is4() {
		return 20 + 8 + len(d.body)
	}
	return 40 + 8 + len(d.body)
}

func (n *Internet) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(n.rng.Int64N(int64(d)))
}
