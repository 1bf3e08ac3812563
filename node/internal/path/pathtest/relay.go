package pathtest

import (
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
)

// Relay carries frames between the nodes that are connected to it, over TCP:
// firewalls and NATs are no obstacle. It knows nodes by their keys, here names.
type Relay struct {
	name  path.Relay
	net   *Internet
	delay time.Duration
	conns map[*Node]time.Time // from when on the connection carries
	muted map[*Node]bool
	down  bool

	// Frames counts what it forwarded. Loss is the share of frames lost in it.
	Frames int
	Loss   float64
}

// Relay adds one, at so much delay one way from every node.
func (n *Internet) Relay(name string, delay time.Duration) *Relay {
	r := &Relay{name: path.Relay(name), net: n, delay: delay, conns: map[*Node]time.Time{}, muted: map[*Node]bool{}}
	n.relays[r.name] = r
	return r
}

// Way is the way through the relay.
func (r *Relay) Way() path.Way { return path.Through(r.name) }

// SetDown stops the relay or starts it again; those who are connected notice.
func (r *Relay) SetDown(down bool) {
	r.down = down
	for _, d := range r.net.nodes {
		if _, ok := r.conns[d]; ok || d.home == r {
			delete(r.conns, d)
			d.Set.RelayDown(r.net.now, r.name)
			d.flush()
			r.dial(d)
		}
	}
}

// Mute makes the relay lose what a node sends, and nothing else.
func (r *Relay) Mute(d *Node, muted bool) { r.muted[d] = muted }

// dial connects a node: TCP, TLS and the upgrade are three round trips.
func (r *Relay) dial(d *Node) {
	if r.down {
		r.net.After(r.delay, func() {
			if r.down {
				d.Set.RelayAway(r.net.now, r.name)
				d.flush()
			}
		})
	}
	if _, ok := r.conns[d]; ok || r.down || !d.online() {
		return
	}
	ready := r.net.now.Add(6 * r.delay)
	r.conns[d] = ready
	r.net.At(ready, func() {
		if r.conns[d] == ready {
			d.Set.RelayUp(r.net.now, r.name)
			d.flush()
		}
	})
}

// redial connects a node anew whose addresses have changed.
func (r *Relay) redial(d *Node) {
	if _, ok := r.conns[d]; ok || d.home == r {
		delete(r.conns, d)
		d.Set.RelayDown(r.net.now, r.name)
		r.dial(d)
	}
}

// send carries a frame from a node to a peer. What is sent before the connection
// stands waits for it.
func (r *Relay) send(from *Node, peer string, body []byte) {
	r.dial(from)
	ready, ok := r.conns[from]
	if !ok {
		return
	}
	if ready.Before(r.net.now) {
		ready = r.net.now
	}
	r.net.At(ready.Add(r.delay), func() { r.forward(from, peer, body) })
}

func (r *Relay) forward(from *Node, peer string, body []byte) {
	to := r.net.node(peer)
	ready, connected := r.conns[to]
	lost := r.down || r.muted[from] || !connected || ready.After(r.net.now) || r.net.rng.Float64() < r.Loss
	r.net.note("%s -> %s  %v  %s%s", from.name, peer, r.Way(), describe(body), map[bool]string{true: "  LOST"}[lost])
	if lost {
		return
	}
	r.Frames++
	r.net.After(r.delay, func() {
		if _, still := r.conns[to]; still && to.online() {
			to.take(r.Way(), body)
		}
	})
}
