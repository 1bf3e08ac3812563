package path

import (
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// Receive takes a datagram that probe.Is holds for STUN, and the way on which it
// came. Of what a relay brings, only what it says to be from a peer of the map
// should be handed over: else any of the relay's clients could use up that
// peer's budget for checks. What is not an authentic probe of a peer, for us, is
// dropped: no reply, no state, no error. The order of the checks is the order of
// their cost.
func (s *Set) Receive(now time.Time, from Way, datagram []byte) {
	h, ok := probe.Peek(datagram)
	if !ok {
		return
	}
	if !from.Relayed() {
		if s.commons.onlyRelays {
			return
		}
		from = Direct(from.Addr)
	}
	if h.Kind == probe.Answer {
		s.receiveAnswer(now, from, h.ID, datagram)
		return
	}
	p := s.byShort[h.Sender]
	if p == nil || h.Receiver != s.self || h.Kind == probe.Call && h.ID.Number() <= p.number {
		return
	}
	if !s.mayCheck(now, p, from) || !s.agree(p) {
		return
	}
	m, err := s.codec.Open(datagram, &p.key)
	if err != nil {
		return
	}
	s.rouse(p)
	if m.Kind == probe.Call {
		p.number = h.ID.Number()
		p.m.called(now, m.Addresses)
	} else {
		p.m.request(now, from, h.ID)
	}
	s.finish(now, p)
}

// receiveAnswer costs a stranger's forgery one look-up: an open request's id
// cannot be guessed.
func (s *Set) receiveAnswer(now time.Time, from Way, id probe.ID, datagram []byte) {
	p := s.open.byID[id]
	if p == nil || p.m == nil {
		return
	}
	m, err := s.codec.Open(datagram, &p.key)
	if err != nil {
		return
	}
	p.m.answer(now, from, id, m.Mapped)
	s.finish(now, p)
}

// mayCheck spends from the budget for integrity checks.
func (s *Set) mayCheck(now time.Time, p *peer, from Way) (ok bool) {
	if p.m != nil {
		if c := p.m.find(from); c != nil && !c.answered.IsZero() {
			ok, _ = p.m.checks.Take(now, checksPerPeer())
			return ok
		}
	}
	ok, _ = s.strangers.Take(now, checksOfStrangers())
	return ok
}

// openLife is how long an answer is waited for.
const openLife = 5 * time.Second

// openRequests are the requests of all peers that have no answer yet. All live
// equally long, so the oldest is always the first of the queue; the limit on
// requests per peer bounds it (20 a second for 5 seconds).
type openRequests struct {
	byID  map[probe.ID]*peer
	queue []openRequest
	grown bool // beyond what a busy node needs
}

const usuallyOpen = 1024

type openRequest struct {
	id  probe.ID
	end time.Time
}

func (o *openRequests) add(now time.Time, id probe.ID, p *peer) {
	o.expire(now)
	o.byID[id] = p
	o.queue = append(o.queue, openRequest{id, now.Add(openLife)})
	o.grown = o.grown || len(o.queue) > usuallyOpen
}

func (o *openRequests) expire(now time.Time) {
	n := 0
	for n < len(o.queue) && !o.queue[n].end.After(now) {
		delete(o.byID, o.queue[n].id)
		n++
	}
	if o.queue = o.queue[n:]; len(o.queue) == 0 && o.grown {
		*o = openRequests{byID: map[probe.ID]*peer{}} // a storm is over
	}
}

func (o *openRequests) forget(p *peer) {
	for id, owner := range o.byID {
		if owner == p {
			delete(o.byID, id)
		}
	}
}
