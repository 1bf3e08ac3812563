package path

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// request takes an authentic request of the peer: it is answered, and the way on
// which it came is asked in turn (a triggered check, RFC 8445 section 7.3.1.4).
func (m *machine) request(now time.Time, from Way, id probe.ID) {
	if slices.Contains(m.seen, id) {
		return // every request has an id of its own: this is a copy
	}
	if len(m.seen) == maxSeen {
		m.seen = slices.Delete(m.seen, 0, 1)
	}
	m.seen = append(m.seen, id)
	if ok, _ := m.answers.Take(now, answersPerPeer()); !ok {
		return
	}
	m.do(reply, from, id)
	if c := m.hear(now, from); c != nil {
		m.trigger(c, now)
	}
}

// hear finds or learns the candidate from which a request came. It gives nil if
// too many were learnt lately.
func (m *machine) hear(now time.Time, from Way) *candidate {
	c := m.find(from)
	if c == nil {
		if ok, _ := m.learns.Take(now, learntPerPeer()); !ok {
			return nil
		}
		m.forgetOldest()
		c = m.add(&candidate{way: from})
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
		if !c.learnt() {
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

// trigger asks a way because the peer asked on it, unless it answered or was
// asked just now. That two sleeping ends do not keep each other awake rests on
// freshFor: the answer to the first check silences the next.
func (m *machine) trigger(c *candidate, now time.Time) {
	fresh := c.answeredWithin(freshFor, now) && c.tries == 0
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
// An answer on another way than the one asked is refused (RFC 8445 section
// 7.2.5.2.1).
func (m *machine) answer(now time.Time, from Way, id probe.ID, mapped netip.AddrPort) {
	c := m.find(from)
	if c == nil {
		return
	}
	if c.mtu.lands(id) {
		m.sized(c, now)
		return
	}
	before, last := c.mapped, c.answered
	if !c.land(id, mapped, now) {
		return
	}
	if before.IsValid() && before != mapped {
		m.remapped(now, last)
	}
	m.failures, m.retry = 0, time.Time{}
	switch {
	case c == m.current:
		c.next, m.alarmed = m.plan(c, now), false
	case m.current == nil || m.alarmed:
		m.move(c, now)
	case !c.better(m.current):
		c.next = time.Time{}
	case c.over(now):
		m.move(c, now)
	default:
		c.next = now.Add(probationEvery)
	}
	m.do(answered, c.way, id)
}

// remapped takes note that the peer sees us come from another port than at the
// last answer. After a pause, that is a NAT which did not wait for our next
// request; after a change of our own network it tells nothing.
func (m *machine) remapped(now, last time.Time) {
	if now.Sub(last) >= quietEvery>>m.shorter && m.doubt.Before(last) {
		m.shorter = min(m.shorter+1, maxShorter)
	}
}

// heardPacket takes note of a packet of another kind than a probe. It makes no
// path, and keeps one only for so long: see plan and patience.
func (m *machine) heardPacket(now time.Time, from Way) {
	if c := m.find(from); c != nil {
		c.traffic = now
	}
}
