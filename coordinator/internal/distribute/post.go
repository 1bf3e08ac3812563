package distribute

import (
	"slices"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// A post is signed and handed out when it holds so many streams or bytes, so
// that the first of many need not wait for the last to be encoded.
const (
	postStreams = 256
	postBytes   = 4 << 20
)

// post is what goes out under one signature.
type post struct {
	payloads [][]byte
	bytes    int
	batches  []batch
	shared   map[*byte]int // payloads that are the same for several, by their first byte
	lease    []byte
}

// batch is one stream's share of a post.
type batch struct {
	to      *stream
	letters []int // indexes of payloads
	adding  int   // index of a Delta that only adds peers; -1: none is
	current bool
}

func newPost() *post { return &post{shared: map[*byte]int{}} }

func (p *post) add(payload []byte) int {
	p.payloads = append(p.payloads, payload)
	p.bytes += len(payload)
	return len(p.payloads) - 1
}

func (p *post) addShared(payload []byte) int {
	i, ok := p.shared[&payload[0]]
	if !ok {
		i = p.add(payload)
		p.shared[&payload[0]] = i
	}
	return i
}

func (p *post) full() bool { return len(p.batches) >= postStreams || p.bytes >= postBytes }

// deliver signs the post and hands each stream its batch.
func (h *Hub) deliver(p *post) {
	var signed []*wire.Signed
	if len(p.payloads) > 0 {
		signed = h.cfg.Sign(p.payloads)
	}
	h.noteKeys()
	h.noteRelays()
	for _, b := range p.batches {
		if batch := h.messages(&b, signed); len(batch) > 0 {
			weight := 0
			for _, i := range b.letters {
				weight += len(p.payloads[i])
			}
			h.flight.start(b.to, weight)
			b.to.ready = false
			b.to.out <- batch // has room: a batch is made only for a stream that is ready
		}
	}
}

// noteKeys looks whether the map keys are others since the last time, after what
// is under way was signed: whoever gets it then has the key before.
func (h *Hub) noteKeys() {
	if keys := h.cfg.Keys(); !slices.Equal(keys, h.keys) {
		h.keys = keys
		h.keyRound++
	}
}

// messages gives a stream's batch: what is signed, and what needs no signature.
func (h *Hub) messages(b *batch, signed []*wire.Signed) []*wire.FollowResponse {
	s := b.to
	out := make([]*wire.FollowResponse, 0, len(b.letters)+2)
	if s.keyRound != h.keyRound {
		s.keyRound = h.keyRound
		out = append(out, &wire.FollowResponse{Message: &wire.FollowResponse_Keys{Keys: &wire.Keys{MapKeys: h.keys}}})
	}
	if b.current {
		pos := h.position()
		out = append(out, &wire.FollowResponse{Message: &wire.FollowResponse_Current{
			Current: &wire.Current{Incarnation: pos.Incarnation, Revision: s.at, Epoch: pos.Epoch}}})
	}
	for _, i := range b.letters {
		out = append(out, &wire.FollowResponse{Message: &wire.FollowResponse_Signed{Signed: signed[i]}, Unhurried: i == b.adding})
	}
	if hints := h.hintsFor(s); hints != nil {
		out = append(out, &wire.FollowResponse{Message: &wire.FollowResponse_Hints{Hints: hints}})
	}
	if relays := h.relaysFor(s); relays != nil {
		out = append(out, &wire.FollowResponse{Message: &wire.FollowResponse_Relays{Relays: relays}})
	}
	if s.beat && len(out) == 0 {
		out = append(out, &wire.FollowResponse{Message: &wire.FollowResponse_Heartbeat{Heartbeat: &wire.Heartbeat{}}})
	}
	s.beat = false
	return out
}

func (h *Hub) position() wire.Position {
	return wire.Position{Incarnation: h.state.Incarnation, Revision: h.state.Revision, Epoch: h.state.Epoch}
}

// leaseFor gives the post's lease, the same for all.
func (h *Hub) leaseFor(p *post) []byte {
	if p.lease == nil {
		p.lease = serialised(wire.NewLease(h.state.Mesh, h.position(), h.cfg.Now()))
	}
	return p.lease
}
