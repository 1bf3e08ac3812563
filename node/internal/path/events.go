package path

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// request takes an authentic request of the peer: it is answered, and its source
// is asked in turn (a triggered check, RFC 8445 section 7.3.1.4).
func (m *machine) request(now time.Time, from netip.AddrPort, id probe.ID) {
	if slices.Contains(m.seen, id) {
		return // every request has an id of its own: this is a copy
	}
	if len(m.seen) == maxSeen {
		m.seen = slices.Delete(m.seen, 0, 1)
	}
	m.seen = append(m.seen, id)
	if ok, _ := m.answers.take(now, answersPerPeer()); !ok {
		return
	}
	m.do(reply, from, id)
	m.trigger(m.hear(now, from), now)
}

// hear finds or learns the candidate from which a request came.
func (m *machine) hear(now time.Time, from netip.AddrPort) *candidate {
	c := m.find(from)
	if c == nil {
		m.forgetOldest()
		c = &candidate{addr: from}
		m.cands = append(m.cands, c)
		if m.current != nil && m.current.tries == 0 {
			// A peer that asks from a new address may have left the old one.
			m.ask(m.current, now, m.current.wait())
		}
	}
	c.heard = now
	return c
}

// forgetOldest makes room for a learnt candidate.
func (m *machine) forgetOldest() {
	oldest, learnt := -1, 0
	for i, c := range m.cands {
		if c.given {
			continue
		}
		learnt++
		if c != m.current && (oldest < 0 || c.heard.Before(m.cands[oldest].heard)) {
			oldest = i
		}
	}
	if learnt >= maxReflexive && oldest >= 0 {
		m.cands = slices.Delete(m.cands, oldest, oldest+1)
	}
}

// trigger asks an address because the peer asked from there, unless it answered
// or was asked just now. That two sleeping ends do not keep each other awake
// rests on freshFor: the answer to the first check silences the next.
func (m *machine) trigger(c *candidate, now time.Time) {
	fresh := !c.answered.IsZero() && now.Sub(c.answered) < freshFor && c.tries == 0
	if fresh || !c.lastSent.IsZero() && now.Sub(c.lastSent) < triggerGap {
		return
	}
	if c == m.current {
		if c.tries == 0 {
			m.ask(c, now, c.wait())
		}
		return
	}
	c.tries, c.next = min(c.tries, searchTries-2), now
	m.hunt()
}

// answer takes an authentic answer: the one event that makes or moves a path.
// An answer from another address than the one asked is refused (RFC 8445
// section 7.2.5.2.1).
func (m *machine) answer(now time.Time, from netip.AddrPort, id probe.ID, mapped netip.AddrPort) {
	c := m.find(from)
	if c == nil || !c.land(id, mapped, now) {
		return
	}
	m.failures, m.retry = 0, time.Time{}
	switch {
	case m.current == nil, m.current != c && (m.current.tries > suspectAfter || c.better(m.current)):
		m.move(c, now)
	case m.current != c:
		c.next = time.Time{}
	}
	m.do(answered, c.addr, id)
	if c == m.current {
		c.next = now.Add(m.pace(now))
	}
}

// pace is how long to leave the path in peace after an answer.
func (m *machine) pace(now time.Time) time.Duration {
	switch {
	case m.wanted.IsZero() || now.Sub(m.wanted) >= interest:
		return trust
	case now.Sub(m.wanted) >= quietAfter:
		return quietEvery
	}
	return activeEvery
}

// move makes c the path.
func (m *machine) move(c *candidate, now time.Time) {
	if m.current != nil {
		m.current.next, m.current.tries = time.Time{}, 0
	}
	m.current, m.since, m.why, m.searching = c, now, "", false
	c.tries, c.next = 0, now.Add(m.pace(now))
	m.do(moved, c.addr, probe.ID{})
}

// leave gives the path up.
func (m *machine) leave(why string) {
	m.current.next, m.current.tries = time.Time{}, 0
	m.current, m.why, m.review = nil, why, time.Time{}
	m.do(moved, netip.AddrPort{}, probe.ID{})
}

// info is the machine's part of Info.
func (m *machine) info() Info {
	in := Info{Candidates: len(m.cands), Why: m.why}
	for _, c := range m.cands {
		if c.answered.After(in.LastAnswer) {
			in.LastAnswer, in.Mapped = c.answered, c.mapped
		}
	}
	if c := m.current; c != nil {
		in.Endpoint, in.RTT, in.Since, in.Why = c.addr, c.rtt, m.since, ""
	}
	return in
}
