package distribute

import (
	"context"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Join is a node's wish to follow its map.
type Join struct {
	Node       string
	From       netip.Addr // as the coordinator sees it
	Instance   string     // random, of this run of the daemon
	Position   wire.Position
	Digest     wire.Digest // of the map that it holds
	SeatDeltas bool        // it takes a change of seats by itself
}

// stream is what the hub knows of one connection. All but out is the hub
// goroutine's.
type stream struct {
	node  string
	join  Join
	out   chan []*wire.FollowResponse // one batch under way at most
	ended error                       // why; read after out is closed

	ready    bool      // the last batch went to the socket
	queued   bool      // is in the hub's queue
	weight   int       // bytes of the batch under way
	round    int       // of the flight in which it set off
	at       uint64    // revision that the node stands at
	asked    uint64    // revision whose acknowledgement is wanted at once
	added    time.Time // since when it may owe acknowledgements of revisions above
	keyRound int       // of the map keys that it was told
	offer    offer     // of relays, as it was told

	full    bool             // owes everything
	current bool             // owes the word that its map is the right one
	lease   bool             // owes the lease of this minute
	beat    bool             // owes a sign of life
	self    bool             // owes Self
	rules   bool             // owes the rule set
	narrow  bool             // what it owes may take a right away
	watched bool             // what it owes comes of an edit: an operator waits for it
	told    wire.Digest      // of the Self that the node has
	seated  *wire.SelfRecord // that Self, if it has seats and the node takes changes of them
	held    bitset           // peers that the node holds
	peers   owed             // peers whose records it owes, or their removal
	hints   owed             // peers whose endpoints it owes
	notices []*notice        // revocations that it owes
}

// notice is the payload of a revocation, the same for all who owe it.
type notice struct{ payload []byte }

// Follow sends a node its map and every change until ctx is done or the stream
// ends for one of the reasons above. It calls send from this goroutine only, with
// the messages of one moment in their order, so that they can share a packet; a
// slow send delays nobody else, and its error ends the stream.
func (h *Hub) Follow(ctx context.Context, j Join, send func([]*wire.FollowResponse) error) error {
	s := &stream{node: j.Node, join: j, out: make(chan []*wire.FollowResponse, 1), ready: true}
	var refused error
	if err := h.do(ctx, func() { refused = h.admit(s) }); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	err := s.carry(ctx, h, h.ticketed(s, send))
	// The context may be done; leaving must be told all the same.
	h.do(context.WithoutCancel(ctx), func() { h.leave(s) })
	return err
}

func (s *stream) carry(ctx context.Context, h *Hub, send func([]*wire.FollowResponse) error) error {
	for {
		select {
		case batch, open := <-s.out:
			if !open {
				return s.ended
			}
			if err := send(batch); err != nil {
				return err
			}
			h.landed.add(s)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// admit takes a stream in, in place of an older one of the same node.
func (h *Hub) admit(s *stream) error {
	h.catchUp()
	if _, ok := h.state.Node(s.node); !ok {
		return ErrGone
	}
	p := h.presenceOf(s.node)
	if h.lacksRevocations(s) {
		return ErrSurrender
	}
	if old := h.streams[s.node]; old != nil {
		h.noteRival(p, old, s)
		h.end(old, ErrReplaced)
	}
	h.streams[s.node] = s
	h.connected(p, s)
	h.greet(s)
	return nil
}

// lacksRevocations tells whether a node has heard of a revocation that a restored
// coordinator may have lost. A node that gave what it has is let in even if the
// epochs still differ: it may know of the epoch by a lease alone, while those
// who hold the revocation are yet to come, or are gone.
func (h *Hub) lacksRevocations(s *stream) bool {
	_, gave := h.lost[s.node]
	return !gave && s.join.Position.Incarnation <= h.state.Incarnation && s.join.Position.Epoch > h.state.Epoch
}

// Surrendered notes that a node handed over the revocations that it kept.
func (h *Hub) Surrendered(ctx context.Context, node string) error {
	return h.do(ctx, func() { h.lost[node] = struct{}{} })
}

// greet decides what a node that stands where it says lacks.
func (h *Hub) greet(s *stream) {
	s.lease = true
	for id := range h.mesh.Peers(s.node) {
		s.hints.add(h.subject(id), 0)
	}
	h.touch(s)
	pos := s.join.Position
	h.noteFuture(s)
	if pos.Incarnation != h.state.Incarnation || pos.Revision == 0 || pos.Revision > h.state.Revision || h.digest(s.node) != s.join.Digest {
		s.full = true
		return
	}
	s.current = true
	s.at, s.asked = pos.Revision, pos.Revision
	s.has(h.selfRecord(s.node))
	for id := range h.mesh.Peers(s.node) {
		h.holds(s, h.subject(id))
	}
}

// taken notes whose socket took the last batch.
func (h *Hub) taken() {
	for _, s := range h.landed.take() {
		s.ready = true
		h.flight.land(s)
		if s.owes() && h.streams[s.node] == s {
			h.touch(s)
		}
	}
}

func (s *stream) owes() bool {
	return s.full || s.current || s.lease || s.beat || s.owesMap() || s.hints.some() || len(s.notices) > 0
}

func (s *stream) owesMap() bool { return s.self || s.rules || s.peers.some() }

// end closes a stream from the hub's side.
func (h *Hub) end(s *stream, why error) {
	if h.streams[s.node] == s {
		delete(h.streams, s.node)
	}
	h.flight.land(s)
	if s.ended == nil {
		s.ended = why
		close(s.out)
	}
}

// leave notes that a stream's goroutine is going.
func (h *Hub) leave(s *stream) {
	current := h.streams[s.node] == s
	h.end(s, ErrClosed)
	if current {
		h.disconnected(s)
	}
}
