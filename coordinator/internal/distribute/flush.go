package distribute

import (
	"slices"
	"strconv"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// letter is one signed message on its way: who gets it, and its place in what
// they get. Several letters may share one payload.
type letter struct {
	to      *stream
	payload int // index into the batch's payloads
}

// post collects what goes out at one moment, so that it is signed once.
type post struct {
	payloads [][]byte
	letters  []letter
	shared   map[string]int // payloads that are the same for several
}

func (p *post) add(to *stream, payload []byte) {
	p.payloads = append(p.payloads, payload)
	p.letters = append(p.letters, letter{to, len(p.payloads) - 1})
}

func (p *post) addShared(to *stream, name string, payload func() []byte) {
	i, ok := p.shared[name]
	if !ok {
		i = len(p.payloads)
		p.payloads = append(p.payloads, payload())
		p.shared[name] = i
	}
	p.letters = append(p.letters, letter{to, i})
}

// flush hands every stream that is ready what it owes. Those from whom a right
// may be taken come first.
func (h *Hub) flush() {
	if len(h.touched) == 0 {
		return
	}
	var due []*stream
	for s := range h.touched {
		delete(h.touched, s)
		if s.ready {
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(a, b *stream) int {
		switch {
		case a.narrow == b.narrow:
			return 0
		case a.narrow:
			return -1
		}
		return 1
	})
	p := &post{shared: map[string]int{}}
	for _, s := range due {
		h.write(p, s)
	}
	h.deliver(p, due)
}

// write adds to the post the signed messages that s owes, in the order in which
// a node takes them: revocations, the map, the lease.
func (h *Hub) write(p *post, s *stream) {
	for _, epoch := range s.notice {
		if payload, ok := h.notices[epoch]; ok {
			p.addShared(s, "revocation "+strconv.FormatUint(epoch, 10), func() []byte { return payload })
		}
	}
	s.notice = nil
	if payload := h.mapFor(s); payload != nil {
		p.add(s, payload)
	}
	if s.lease {
		s.lease = false
		p.addShared(s, "lease", h.leasePayload)
	}
}

// mapFor gives the Full or the Delta that s owes, encoded; nil if it owes none.
func (h *Hub) mapFor(s *stream) []byte {
	full := s.full
	if !full && !s.owesMap() {
		return nil
	}
	to, at := wire.Recipient{Mesh: h.state.Mesh, Node: s.node}, h.position()
	var e *wire.Envelope
	if full {
		e = h.fullEnvelope(s, to, at)
	} else if d := h.delta(s); !d.IsEmpty() {
		e = wire.NewDelta(to, s.at, at, d)
	}
	s.full, s.self, s.rules, s.narrow = false, false, false, false
	clear(s.peers)
	if e == nil {
		return nil
	}
	payload, err := wire.Encode(e)
	if err != nil {
		h.cfg.Log.Error("a node's map cannot be sent", "node", s.node, "error", err)
		return nil
	}
	s.at = at.Revision
	return payload
}

func (h *Hub) fullEnvelope(s *stream, to wire.Recipient, at wire.Position) *wire.Envelope {
	clear(s.held)
	self := h.selfRecord(s.node)
	s.told = wire.SelfDigest(self)
	f := &wire.Full{Self: self.Proto(), Rules: h.rules(s.node)}
	for id := range h.visible(s.node) {
		f.Peers = append(f.Peers, h.record(id).proto)
		s.held.set(h.number(id))
	}
	return &wire.Envelope{Mesh: to.Mesh[:], Node: to.Node, Incarnation: at.Incarnation, To: at.Revision, Epoch: at.Epoch,
		Body: &wire.Envelope_Full{Full: f}}
}

func (h *Hub) delta(s *stream) *wire.Delta {
	d := new(wire.Delta)
	if s.self {
		self := h.selfRecord(s.node)
		if digest := wire.SelfDigest(self); digest != s.told {
			d.Self, s.told = self.Proto(), digest
		}
	}
	if s.rules {
		d.Rules = h.rules(s.node)
	}
	for id := range s.peers {
		n := h.number(id)
		if h.sees(s.node, id) {
			d.Put = append(d.Put, h.record(id).proto)
			s.held.set(n)
		} else if s.held.has(n) {
			d.Remove = append(d.Remove, id)
			s.held.clear(n)
		}
	}
	return d
}

// deliver signs the post and hands each stream its messages.
func (h *Hub) deliver(p *post, due []*stream) {
	signed := h.cfg.Sign(p.payloads)
	batches := make(map[*stream][]*wire.FollowResponse, len(due))
	for _, l := range p.letters {
		batches[l.to] = append(batches[l.to], &wire.FollowResponse{Message: &wire.FollowResponse_Signed{Signed: signed[l.payload]}})
	}
	for _, s := range due {
		batch := h.unsigned(s, batches[s])
		if len(batch) > 0 {
			s.ready = false
			s.out <- batch // has room: a batch is made only for a stream that is ready
		}
	}
}

// unsigned adds what needs no signature: Current, hints, a heartbeat.
func (h *Hub) unsigned(s *stream, batch []*wire.FollowResponse) []*wire.FollowResponse {
	if s.join.Digest != (wire.Digest{}) && s.at == s.join.Position.Revision && s.at != 0 {
		pos := h.position()
		current := &wire.Current{Incarnation: pos.Incarnation, Revision: s.at, Epoch: pos.Epoch}
		batch = append([]*wire.FollowResponse{{Message: &wire.FollowResponse_Current{Current: current}}}, batch...)
	}
	s.join.Digest = wire.Digest{} // said once
	if hints := h.hintsFor(s); hints != nil {
		batch = append(batch, &wire.FollowResponse{Message: &wire.FollowResponse_Hints{Hints: hints}})
	}
	if s.beat {
		s.beat = false
		if len(batch) == 0 {
			batch = append(batch, &wire.FollowResponse{Message: &wire.FollowResponse_Heartbeat{Heartbeat: &wire.Heartbeat{}}})
		}
	}
	return batch
}

func (h *Hub) position() wire.Position {
	return wire.Position{Incarnation: h.state.Incarnation, Revision: h.state.Revision, Epoch: h.state.Epoch}
}

func (h *Hub) leasePayload() []byte {
	payload, err := wire.Encode(wire.NewLease(h.state.Mesh, h.position(), h.cfg.Now()))
	if err != nil {
		panic("distribute: a lease does not encode: " + err.Error()) // a dozen bytes of numbers
	}
	return payload
}

// lease says to every stream that the coordinator stands behind its map.
func (h *Hub) lease() {
	for _, s := range h.streams {
		s.lease = true
		h.touched[s] = struct{}{}
	}
}

func (h *Hub) heartbeat() {
	for _, s := range h.streams {
		s.beat = true
		h.touched[s] = struct{}{}
	}
}
