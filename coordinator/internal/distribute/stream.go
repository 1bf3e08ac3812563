package distribute

import (
	"context"
	"net/netip"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Join is a node's wish to follow its map.
type Join struct {
	Node     string
	From     netip.Addr // as the coordinator sees it
	Instance string     // random, of this run of the daemon
	Position wire.Position
	Digest   wire.Digest // of the map that it holds
}

// stream is what the hub knows of one connection. All but out is the hub
// goroutine's.
type stream struct {
	node  string
	join  Join
	out   chan []*wire.FollowResponse // one batch under way at most
	ended error                       // why; read after out is closed

	ready bool   // the last batch went to the socket
	at    uint64 // revision that the node stands at

	full   bool        // owes everything
	lease  bool        // owes the lease of this minute
	beat   bool        // owes a sign of life
	self   bool        // owes Self
	rules  bool        // owes the rule set
	narrow bool        // what it owes may take a right away
	told   wire.Digest // of the Self that the node has
	held   bitset
	peers  map[string]struct{} // owes these peers' records, or their removal
	hints  map[string]struct{} // owes these peers' endpoints
	notice []uint64            // owes the revocations of these epochs
}

// Follow sends a node its map and every change until ctx is done or the stream
// ends for one of the reasons above. It calls send from this goroutine only; a
// slow send delays nobody else, and its error ends the stream.
func (h *Hub) Follow(ctx context.Context, j Join, send func(*wire.FollowResponse) error) error {
	s := &stream{node: j.Node, join: j, out: make(chan []*wire.FollowResponse, 1), ready: true,
		peers: map[string]struct{}{}, hints: map[string]struct{}{}}
	var refused error
	if err := h.do(ctx, func() { refused = h.join(s) }); err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	err := s.carry(ctx, h, send)
	// The context may be done; leaving must be told all the same.
	h.do(context.WithoutCancel(ctx), func() { h.leave(s) })
	return err
}

func (s *stream) carry(ctx context.Context, h *Hub, send func(*wire.FollowResponse) error) error {
	for {
		select {
		case batch, open := <-s.out:
			if !open {
				return s.ended
			}
			for _, m := range batch {
				if err := send(m); err != nil {
					return err
				}
			}
			if err := h.do(ctx, func() { h.sent(s) }); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join admits a stream, in place of an older one of the same node.
func (h *Hub) join(s *stream) error {
	h.catchUp()
	if _, ok := h.state.Node(s.node); !ok {
		return ErrGone
	}
	if s.join.Position.Incarnation <= h.state.Incarnation && s.join.Position.Epoch > h.state.Epoch {
		return ErrSurrender
	}
	if old := h.streams[s.node]; old != nil {
		h.noteRival(old, s)
		h.end(old, ErrReplaced)
	}
	h.streams[s.node] = s
	h.connected(s)
	h.greet(s)
	return nil
}

// greet decides what a node that stands where it says lacks.
func (h *Hub) greet(s *stream) {
	s.lease = true
	for id := range h.visible(s.node) {
		s.hints[id] = struct{}{}
	}
	h.touched[s] = struct{}{}
	pos := s.join.Position
	if pos.Incarnation != h.state.Incarnation || pos.Revision == 0 || pos.Revision > h.state.Revision || h.digest(s.node) != s.join.Digest {
		s.full = true
		return
	}
	s.at, s.told = pos.Revision, wire.SelfDigest(h.selfRecord(s.node))
	for id := range h.visible(s.node) {
		s.held.set(h.number(id))
	}
}

// sent notes that the socket took the last batch.
func (h *Hub) sent(s *stream) {
	s.ready = true
	if h.streams[s.node] == s && s.owes() {
		h.touched[s] = struct{}{}
	}
}

func (s *stream) owes() bool {
	return s.full || s.lease || s.beat || s.owesMap() || len(s.hints) > 0 || len(s.notice) > 0
}

func (s *stream) owesMap() bool { return s.self || s.rules || len(s.peers) > 0 }

// end closes a stream from the hub's side.
func (h *Hub) end(s *stream, why error) {
	if h.streams[s.node] == s {
		delete(h.streams, s.node)
	}
	delete(h.touched, s)
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

// bitset is the set of peers that a node holds: 10,000 nodes take 1.2 KB.
type bitset []uint64

func (b *bitset) set(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

func (b bitset) clear(i int) {
	if i/64 < len(b) {
		b[i/64] &^= 1 << (i % 64)
	}
}

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }
