package distribute

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// subject is a node as others are told of it.
type subject struct {
	id     string
	bit    int     // in streams' sets of peers
	record *record // nil: to be made anew
	was    *record // the one before, if it has seats: what those hold who owe but one step
	latest uint64  // version of the last record
	made   uint64  // versions
}

// record is what others are told of a node: made once, sent to many.
type record struct {
	bytes   []byte // a serialised wire.Peer
	digest  wire.Digest
	version uint64
	held    bool             // some stream's node holds it, or is about to
	seated  *wire.PeerRecord // itself, if it has seats
	step    step
}

// step is the way to a record from the one before, if only seats changed. Who holds
// that one needs no more.
type step struct {
	from  uint64 // version; 0: there is no such way
	bytes []byte // a serialised wire.SeatDelta
}

// outdate has the record made anew. One that nobody holds is not worth a step from it:
// changes of one moment are one step.
func (s *subject) outdate() {
	if s.record != nil && (s.record.held || s.was == nil) {
		if s.was = nil; s.record.seated != nil {
			s.was = s.record
		}
	}
	s.record = nil
}

func (h *Hub) subject(id string) *subject {
	s, ok := h.subjects[id]
	if !ok {
		s = &subject{id: id, bit: h.bits.take()}
		h.subjects[id] = s
	}
	return s
}

// forget lets go of a node that was removed. Its bit is free once no stream
// remembers it.
func (h *Hub) forget(id string) {
	if s, ok := h.subjects[id]; ok {
		h.bits.gone = append(h.bits.gone, s)
		delete(h.subjects, id)
	}
	delete(h.presence, id)
	delete(h.lost, id)
}

// recordOf gives what others are told of a node that is in the mesh.
func (h *Hub) recordOf(s *subject) *record {
	if s.record != nil {
		return s.record
	}
	n, ok := h.state.Node(s.id)
	if !ok {
		return new(record)
	}
	p := wire.PeerRecord{
		ID: n.ID, Name: n.Name, NodeKey: n.Key, Statement: n.Statement, TunnelKey: n.TunnelKey, PathKey: n.PathKey,
		Addresses: n.Addresses, Routes: n.Routes(), Prefixes: h.mesh.Prefixes(s.id), Owner: h.mesh.Owner(s.id),
		Facts: h.mesh.Facts(s.id), Until: n.Expires, Seats: h.seatsOf(s.id),
	}
	s.renew(p)
	return s.record
}

// renew makes the record, unless the one before says the same.
func (s *subject) renew(p wire.PeerRecord) {
	digest := wire.PeerDigest(p)
	if s.was != nil && s.was.digest == digest {
		s.record, s.latest = s.was, s.was.version
		return
	}
	s.made++
	s.latest = s.made
	s.record = &record{bytes: serialised(p.Proto()), digest: digest, version: s.latest}
	if len(p.Seats) > 0 {
		s.record.seated = &p
	}
	if s.was != nil {
		s.record.step = stepTo(p, s.was, len(s.record.bytes))
	}
}

// stepTo gives the step to p from the record before, if it is smaller than the whole.
func stepTo(p wire.PeerRecord, was *record, whole int) step {
	if d := wire.DiffPeerSeats(*was.seated, p); d != nil {
		if b := serialised(d); len(b) < whole {
			return step{was.version, b}
		}
	}
	return step{}
}

func (h *Hub) selfRecord(id string) wire.SelfRecord {
	n, ok := h.state.Node(id)
	if !ok {
		return wire.SelfRecord{}
	}
	return wire.SelfRecord{
		ID: n.ID, Name: n.Name, NodeKey: n.Key, Addresses: n.Addresses, Routes: n.Routes(),
		Prefixes: h.mesh.Prefixes(id), Owner: h.mesh.Owner(id), Ranges: h.state.Ranges(), Domain: h.state.Domain,
		Facts: h.mesh.Facts(id), Pending: !h.state.Admitted(n), Tags: n.Tags, User: n.User,
		SignIn: h.state.SignIn, Sessions: sessionsAt(h.state, id), ActiveEvery: h.activeEvery(id), Until: n.Expires,
		Seats: h.seatsOf(id),
	}
}

// activeEvery says how often a node shall tell that its person does something: not at
// all where nobody sits, nor where no rule asks for it.
func (h *Hub) activeEvery(node string) time.Duration {
	if h.idle == 0 || len(h.state.SessionsAt(node)) == 0 {
		return 0
	}
	return wire.ActivePeriod(h.idle)
}

// rules is a rule set as nodes get it. Those with the same set share it.
type rules struct {
	bytes  []byte // a serialised wire.RuleSet
	digest wire.Digest
}

func (h *Hub) rulesOf(node string) *rules {
	set := h.mesh.Set(node)
	r, ok := h.rules[set]
	if !ok {
		r = new(rules)
		r.bytes, r.digest = wire.EncodeRules(set.Rules())
		h.rules[set] = r
	}
	return r
}

// digest gives the digest of the map that a node should hold.
func (h *Hub) digest(node string) wire.Digest {
	peers := map[string]wire.Digest{}
	for id := range h.mesh.Peers(node) {
		peers[id] = h.recordOf(h.subject(id)).digest
	}
	return wire.CombineDigest(wire.SelfDigest(h.selfRecord(node)), peers, h.rulesOf(node).digest)
}

func serialised(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic("distribute: " + err.Error()) // text that is not UTF-8, which the registry lets nobody store
	}
	return b
}

// bits hands out places in the streams' sets of peers, as small as can be: a
// mesh of 10,000 nodes of which many come and go still needs 1.2 KB a stream.
type bits struct {
	next int
	free []int
	gone []*subject // removed, but a stream may remember them
}

func (b *bits) take() int {
	if last := len(b.free) - 1; last >= 0 {
		bit := b.free[last]
		b.free = b.free[:last]
		return bit
	}
	b.next++
	return b.next - 1
}

// sweep frees the bits of removed nodes that no stream remembers.
func (h *Hub) sweep() {
	h.bits.gone = slices.DeleteFunc(h.bits.gone, func(g *subject) bool {
		for _, s := range h.streams {
			if s.held.has(g.bit) || s.peers.has(g) || s.hints.has(g) {
				return false
			}
		}
		h.bits.free = append(h.bits.free, g.bit)
		return true
	})
}
