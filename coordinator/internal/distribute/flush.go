package distribute

import (
	"cmp"
	"slices"
	"time"

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

// flush hands every stream that is ready what it owes. Those from whom a right
// may be taken come first. What may be megabytes waits while too much is under way.
func (h *Hub) flush() {
	h.urgent = false
	if len(h.queue) == 0 && len(h.waiting) == 0 {
		return
	}
	p := newPost()
	for _, s := range h.due() {
		if s.heavy() && h.flight.full(p) {
			s.queued = true
			h.waiting = append(h.waiting, s)
			continue
		}
		p = h.serve(p, s)
	}
	for len(h.waiting) > 0 && !h.flight.full(p) {
		s := h.waiting[0]
		h.waiting = h.waiting[1:]
		s.queued = false
		if s.ended == nil {
			p = h.serve(p, s)
		}
	}
	h.deliver(p)
	if len(h.waiting) > 0 {
		h.flight.watch()
	}
}

// serve writes what s owes into the post, and gives the post to go on with.
func (h *Hub) serve(p *post, s *stream) *post {
	h.write(p, s)
	if !p.full() {
		return p
	}
	h.deliver(p)
	return newPost()
}

// due empties the queue and gives the streams in it that can take something,
// in the order in which they are served.
func (h *Hub) due() []*stream {
	due := slices.DeleteFunc(h.queue, func(s *stream) bool {
		s.queued = false
		return !s.ready || s.ended != nil // a busy one is queued again when it is ready
	})
	h.queue = nil
	slices.SortStableFunc(due, func(a, b *stream) int { return cmp.Compare(a.rank(), b.rank()) })
	return due
}

// rank is 0 for streams that lose a right, 1 for those with little to send.
func (s *stream) rank() int {
	switch {
	case s.narrow || len(s.notices) > 0:
		return 0
	case !s.heavy():
		return 1
	}
	return 2
}

// heavy tells that what a stream owes may be megabytes.
func (s *stream) heavy() bool { return s.full || len(s.peers.list) > 1000 }

// write adds to the post what s owes, in the order in which a node takes it:
// revocations, the map, the lease.
func (h *Hub) write(p *post, s *stream) {
	b := batch{to: s, current: s.current, adding: -1}
	for _, n := range s.notices {
		b.letters = append(b.letters, p.addShared(n.payload))
	}
	s.notices = nil
	payload, adds, err := h.mapFor(s)
	if err != nil {
		h.tooLarge(s, err)
		return
	}
	if payload != nil {
		i := p.add(payload)
		b.letters = append(b.letters, i)
		if b.current = false; adds {
			b.adding = i
		}
	}
	s.current = false
	if s.lease {
		s.lease = false
		b.letters = append(b.letters, p.addShared(h.leaseFor(p)))
	}
	p.batches = append(p.batches, b)
}

// tooLarge ends the stream of a node that cannot be brought up to date: a lease
// on the map that it holds would keep rights alive that may be gone.
func (h *Hub) tooLarge(s *stream, err error) {
	h.cfg.Log.Error("a node's map cannot be sent; its stream is ended", "node", s.node, "error", err)
	h.presenceOf(s.node).Warnings = []string{err.Error()}
	h.end(s, err)
	h.disconnected(s)
}

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

// maxFlight is how many bytes may wait for sockets before another map of
// megabytes is made. A thousand nodes that each need one after a restart are
// served as fast as they read, not all at once.
const maxFlight = 64 << 20

// patience is how long a batch counts. A node that reads slower gets what it got
// all the same, until its socket's deadline, but keeps nobody waiting for it.
const patience = time.Second

// flight counts what is on its way to sockets.
type flight struct {
	most  int
	bytes int
	round int
	lapse <-chan time.Time // set while somebody waits
}

// full tells whether what is under way, and in the post, is enough.
func (f *flight) full(p *post) bool { return f.bytes+p.bytes >= f.most }

func (f *flight) start(s *stream, weight int) {
	s.weight, s.round = weight, f.round
	f.bytes += weight
}

func (f *flight) land(s *stream) {
	if s.round == f.round {
		f.bytes -= s.weight
	}
	s.weight = 0
}

// forget lets those wait no longer who wait for a slow reader.
func (f *flight) forget() {
	f.bytes, f.lapse = 0, nil
	f.round++
}

// watch has it forgotten in a while what is under way now.
func (f *flight) watch() {
	if f.lapse == nil {
		f.lapse = time.After(patience)
	}
}
