package distribute

import (
	"cmp"
	"slices"
)

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

// rank is 0 for streams that lose a right, 1 for those with little to send, 2 for all others.
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
