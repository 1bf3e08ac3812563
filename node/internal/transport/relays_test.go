package transport_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// relays are relays in memory. Every node is connected to each.
type relays struct {
	mu    sync.Mutex
	nodes map[key.NodePublic]*node
	down  map[path.Relay]bool // takes nothing
	quiet bool                // takes and loses all
	sent  []frame
}

// frame is what was handed to a relay.
type frame struct {
	relay    path.Relay
	from, to key.NodePublic
	data     []byte
}

func newRelays() *relays {
	return &relays{nodes: map[key.NodePublic]*node{}, down: map[path.Relay]bool{}}
}

// node makes one that is connected to the relays.
func (r *relays) node(t testing.TB, id string, c transport.Config) *node {
	var self key.NodePublic
	c.Relay = func(relay path.Relay, to key.NodePublic, datagram []byte) bool {
		return r.carry(self, relay, to, datagram)
	}
	n := newNode(t, id, c)
	self = n.identity.Public()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes[self] = n
	return n
}

func (r *relays) carry(from key.NodePublic, relay path.Relay, to key.NodePublic, datagram []byte) bool {
	r.mu.Lock()
	quiet, down, peer := r.quiet, r.down[relay], r.nodes[to]
	if !quiet && !down {
		r.sent = append(r.sent, frame{relay, from, to, slices.Clone(datagram)})
	}
	r.mu.Unlock()
	if !quiet && !down && peer != nil {
		peer.FromRelay(relay, from, datagram)
	}
	return !down
}

func (r *relays) setDown(relay path.Relay, down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down[relay] = down
}

func (r *relays) setQuiet(quiet bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet = quiet
}

// frames gives what a node sent over relays: probes of one kind, or, of kind 0,
// what is no probe.
func (r *relays) frames(from *node, kind probe.Kind) (out []frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.sent {
		if h, _ := probe.Peek(f.data); f.from == from.identity.Public() && h.Kind == kind {
			out = append(out, f)
		}
	}
	return out
}
