package distribute

import (
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// offer is what a stream was last told of relays. The hub decides when the node
// is told again; the stream's own goroutine has the ticket signed, so that ten
// thousand signatures after a restart keep nobody waiting but their nodes.
type offer struct {
	round    int            // of the relays that the node knows; 0: it was told nothing
	approved bool           // it was told them as a node that was approved
	node     key.NodePublic // for whom the ticket is

	// Of the stream's goroutine while a batch is under way, of the hub's else.
	renew time.Time // when half of the ticket's life is over; zero: it has none
}

// noteRelays looks whether the relays are others since the last time.
func (h *Hub) noteRelays() {
	if h.cfg.Relays == nil {
		return
	}
	if relays := h.cfg.Relays(); !slices.Equal(relays, h.relays) {
		h.relays = slices.Clone(relays)
		h.offered = wire.RelayOffer{Relays: h.relays}.Proto().Relays
		h.relayRound++
	}
}

// relaysFor gives the relays if s does not know them, or its ticket is due; nil
// else. It is asked at every batch, and a lease is one each minute. Who waits for
// approval has nobody to reach, so for it there are none.
func (h *Hub) relaysFor(s *stream) *wire.Relays {
	n, ok := h.state.Node(s.node)
	if !ok {
		return nil
	}
	due := !s.offer.renew.IsZero() && !h.cfg.Now().Before(s.offer.renew)
	if s.offer.round == h.relayRound && s.offer.approved == h.state.Admitted(n) && !due {
		return nil
	}
	s.offer = offer{round: h.relayRound, approved: h.state.Admitted(n), node: n.Key}
	if !h.state.Admitted(n) {
		return new(wire.Relays)
	}
	return &wire.Relays{Relays: h.offered}
}

// ticketed has each word on relays go out with a fresh ticket.
func (h *Hub) ticketed(s *stream, send func([]*wire.FollowResponse) error) func([]*wire.FollowResponse) error {
	return func(batch []*wire.FollowResponse) error {
		for _, m := range batch {
			if r := m.GetRelays(); r != nil && len(r.Relays) > 0 {
				now := h.cfg.Now()
				ticket, end := h.cfg.Ticket(s.offer.node)
				r.Ticket, r.TicketEnd = ticket, end.Unix()
				s.offer.renew = now.Add(end.Sub(now) / 2)
			}
		}
		return send(batch)
	}
}
