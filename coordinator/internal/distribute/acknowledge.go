package distribute

import (
	"context"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Acknowledge notes the revision that a node enforces. A position that no map of
// this coordinator can have is nonsense, and ignored.
func (h *Hub) Acknowledge(ctx context.Context, node string, at wire.Position) error {
	return h.do(ctx, func() {
		h.catchUp()
		if at.Incarnation != h.state.Incarnation || at.Revision > h.state.Revision || !h.known(node) {
			return
		}
		p := h.presenceOf(node)
		p.Acknowledged, p.LastSeen = at, h.cfg.Now()
		if s := h.streams[node]; s != nil {
			s.added = time.Now()
		}
	})
}

// unhurried is how long a node may keep the acknowledgement of peers that were
// added to itself, with some room for the network.
const unhurried = 2 * wire.UnhurriedWithin

// noteSent notes what a map that is sent obliges the node to acknowledge.
func (h *Hub) noteSent(s *stream, revision uint64, adds bool) {
	switch {
	case !adds:
		s.asked = revision
	case h.presenceOf(s.node).Acknowledged.Revision >= s.at:
		s.added = time.Now()
	}
	s.at = revision
}

// enforces tells whether a node that acknowledged a revision holds the map that
// it should, as far as it had to say so.
func (s *stream) enforces(revision uint64) bool {
	return revision >= s.at || revision >= s.asked && time.Since(s.added) < unhurried
}
