package distribute

import (
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// mapFor gives the Full or the Delta that s owes, encoded; nil if it owes none.
// It tells whether that only adds peers, and nobody waits for it.
func (h *Hub) mapFor(s *stream) (payload []byte, adds bool, err error) {
	if !s.full && !s.owesMap() {
		s.narrow, s.watched = false, false
		return nil, false, nil
	}
	var m *message
	if s.full {
		m = h.fullFor(s)
	} else if m = h.deltaFor(s); m.empty() {
		m = nil
	}
	adds = m != nil && m.adds && !s.watched
	s.full, s.self, s.rules, s.narrow, s.watched = false, false, false, false, false
	if m == nil {
		return nil, false, nil
	}
	at := h.position()
	payload = m.encode(h.state.Mesh, s.node, at)
	if len(payload) > h.largest {
		return nil, false, ErrTooLarge
	}
	h.noteSent(s, at.Revision, adds)
	return payload, adds, nil
}

func (h *Hub) fullFor(s *stream) *message {
	clear(s.held)
	s.peers.take()
	self := h.selfRecord(s.node)
	s.has(self)
	m := &message{body: envelopeFull, self: serialised(self.Proto()), rules: h.rulesOf(s.node).bytes}
	for id := range h.mesh.Peers(s.node) {
		m.put = append(m.put, h.holds(s, h.subject(id)))
	}
	return m
}

func (h *Hub) deltaFor(s *stream) *message {
	m := &message{body: envelopeDelta, from: s.at}
	if s.self {
		h.selfFor(m, s)
	}
	if s.rules {
		m.rules = h.rulesOf(s.node).bytes
	}
	m.adds = m.self == nil && m.rules == nil && len(m.seats) == 0
	for _, peer := range s.peers.take() {
		held := s.held.has(peer.bit)
		switch {
		case h.mesh.Sees(s.node, peer.id):
			m.adds = m.adds && !held
			if r := h.holds(s, peer.subject); held && s.join.SeatDeltas && r.step.from != 0 && r.step.from == peer.from {
				m.seats = append(m.seats, r.step.bytes)
			} else {
				m.put = append(m.put, r)
			}
		case held:
			m.adds = false
			m.remove = append(m.remove, peer.id)
			s.held.clear(peer.bit)
		}
	}
	return m
}

// selfFor adds what a node is to be told of itself: its seats alone, if it had others
// and nothing else changed.
func (h *Hub) selfFor(m *message, s *stream) {
	self := h.selfRecord(s.node)
	had, told := s.seated, s.told
	if s.has(self); s.told == told {
		return
	}
	if had != nil {
		if d := wire.DiffSelfSeats(*had, self); d != nil {
			m.seats = append(m.seats, serialised(d))
			return
		}
	}
	m.self = serialised(self.Proto())
}

// has notes what the node knows of itself.
func (s *stream) has(self wire.SelfRecord) {
	s.told, s.seated = wire.SelfDigest(self), nil
	if s.join.SeatDeltas && len(self.Seats) > 0 {
		s.seated = &self
	}
}

// holds notes that the node has a peer's record as it is now, and gives it.
func (h *Hub) holds(s *stream, peer *subject) *record {
	r := h.recordOf(peer)
	r.held = true
	s.held.set(peer.bit)
	return r
}

// tooLarge ends the stream of a node that cannot be brought up to date: a lease
// on the map that it holds would keep rights alive that may be gone.
func (h *Hub) tooLarge(s *stream, err error) {
	h.cfg.Log.Error("a node's map cannot be sent; its stream is ended", "node", s.node, "error", err)
	h.presenceOf(s.node).Warnings = []string{err.Error()}
	h.end(s, err)
	h.disconnected(s)
}

// digest gives the digest of the map that a node should hold.
func (h *Hub) digest(node string) wire.Digest {
	peers := map[string]wire.Digest{}
	for id := range h.mesh.Peers(node) {
		peers[id] = h.recordOf(h.subject(id)).digest
	}
	return wire.CombineDigest(wire.SelfDigest(h.selfRecord(node)), peers, h.rulesOf(node).digest)
}
