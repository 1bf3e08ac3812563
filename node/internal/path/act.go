package path

import (
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// finish turns a machine's steps into actions, plans its next tick, and lets it
// sleep when it may.
func (s *Set) finish(now time.Time, p *peer) {
	m := p.m
	m.settle(now)
	for _, st := range m.steps {
		s.act(now, p, st)
	}
	m.steps = m.steps[:0]
	if m.asleep(now) {
		s.lull(p)
		s.timers.plan(p, time.Time{})
	} else {
		s.timers.plan(p, m.next())
	}
	if why := s.Info(p.ID).Why; why != p.told {
		p.told = why
		s.actions = append(s.actions, Action{Do: Changed, Peer: p.ID})
	}
}

func (s *Set) act(now time.Time, p *peer, st step) {
	a := Action{Peer: p.ID, To: st.to, Fresh: st.fresh}
	switch st.do {
	case ask:
		s.open.add(now, st.id, p)
		a.Do, a.Whole = Send, st.size > 0
		if a.Whole {
			a.Datagram = s.codec.AppendPadded(nil, st.id, p.short, s.self, st.size, &p.key)
		} else {
			a.Datagram = s.codec.AppendRequest(nil, st.id, p.short, s.self, &p.key)
		}
	case reply:
		a.Do, a.Datagram = Send, s.codec.AppendAnswer(nil, st.id, answerAddr(st.to), &p.key)
	case call:
		s.gather(now)
		a.Do, a.Datagram = Send, s.codec.AppendCall(nil, s.nextCall(now), p.short, s.self, s.own, &p.key)
	case moved:
		a.Do = Moved
		if st.to.Addr.IsValid() {
			p.lastGood = st.to.Addr
		}
	case answered:
		a.Do = Answered
	case unanswered:
		a.Do = Unanswered
	case resized:
		a.Do = Resized
	}
	s.actions = append(s.actions, a)
}

// answerAddr is what an answer says that the request came from. A relay hides
// that: the unspecified address stands for it.
func answerAddr(w Way) netip.AddrPort {
	if w.Relayed() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return w.Addr
}

// nextCall makes the id of a call. Its number is the time in nanoseconds, as in
// WireGuard's initiation (there TAI64N), so that it grows across restarts, or one
// more than the last.
func (s *Set) nextCall(now time.Time) probe.ID {
	s.lastNumber = max(uint64(max(now.UnixNano(), 0)), s.lastNumber+1)
	return s.commons.newID().Numbered(s.lastNumber)
}
