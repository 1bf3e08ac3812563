package pathtest

import (
	"net/netip"
	"slices"
)

// STUN adds a server that tells who asks it from where it was asked. What is said
// is not STUN's own bytes: the machine never sees them.
func (n *Internet) STUN(addr string) { n.servers = append(n.servers, netip.MustParseAddr(addr)) }

const (
	question = '?'
	answer   = '!'
)

// serve answers for the servers.
func (n *Internet) serve(d datagram) {
	if !slices.Contains(n.servers, d.dst.Addr()) || len(d.body) != 1 || d.body[0] != question {
		return
	}
	seen := append([]byte{answer}, d.src.String()...)
	n.After(2*n.Default.Delay, func() { n.deliver("", datagram{src: d.dst, dst: d.src, body: seen}, nil) })
}

// Gather has the node look for its own addresses: those of its interfaces, and
// those that the servers see. The path machine and, by the coordinator, the
// peers are told of what is found.
func (d *Node) Gather() {
	d.Gathered++
	clear(d.mapped)
	d.tellOwn()
	for _, c := range d.nics {
		for _, server := range d.net.servers {
			if !c.down && c.addr.Is4() == server.Is4() && (c.lan == "" || c.nat != nil) {
				d.net.send(datagram{origin: c, dst: netip.AddrPortFrom(server, 3478), body: []byte{question}})
			}
		}
	}
}

func (d *Node) learn(c *NIC, body []byte) {
	at, err := netip.ParseAddrPort(string(body[1:]))
	if err != nil || d.mapped[c] == at {
		return
	}
	d.mapped[c] = at
	d.tellOwn()
}

// Own are the addresses at which the node believes that it can be reached.
func (d *Node) Own() (list []netip.AddrPort) {
	for _, c := range d.nics {
		if c.down {
			continue
		}
		list = append(list, c.Addr())
		if at, ok := d.mapped[c]; ok && at != c.Addr() {
			list = append(list, at)
		}
	}
	return list
}

func (d *Node) tellOwn() {
	own := d.Own()
	d.Set.SetOwn(d.net.now, own)
	d.flush()
	if d.net.Hints < 0 {
		return
	}
	d.net.After(d.net.Hints, func() {
		for _, other := range d.net.nodes {
			if slices.Contains(other.known, d.name) {
				other.Set.SetCandidates(d.net.now, d.name, own)
				other.flush()
			}
		}
	})
}
