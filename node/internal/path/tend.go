package path

import (
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// tick does what is due, the path first.
func (m *machine) tick(now time.Time) {
	if due(m.retry, now) {
		m.search(now)
	}
	if due(m.review, now) {
		m.reviewOthers(now)
	}
	if c := m.current; c != nil && due(c.next, now) {
		m.tend(c, now)
	}
	if c := m.current; c != nil && due(c.mtu.next, now) {
		m.tendMTU(c, now)
	}
	for _, c := range m.cands {
		switch {
		case c == m.current || !due(c.next, now):
		case c.tries >= searchTries:
			c.next = time.Time{}
		default:
			if c.tries > 1 {
				c.gap()
			}
			m.ask(c, now, m.searchPause(c))
		}
	}
}

// searchPause is how long the answer of a candidate that is asked now may take
// before it is asked again.
func (m *machine) searchPause(c *candidate) time.Duration {
	if m.current == nil {
		return eagerWait << (2 * c.tries)
	}
	return searchWait << c.tries
}

// plan says when the path is asked next that has missed no answer. Where we send
// and hear nothing, sooner than where the peer's packets come in. A relay keeps
// no mapping open that could close, so a quiet path through it costs nothing.
func (m *machine) plan(c *candidate, now time.Time) time.Time {
	relayed, alive := c.way.Relayed(), later(c.answered, c.traffic)
	switch {
	case relayed && !m.inUse(now):
		return later(c.answered, m.wanted).Add(interest)
	case !m.interested(now):
		return c.answered.Add(trust)
	case !m.inUse(now):
		return c.answered.Add(quietEvery >> m.shorter)
	case relayed:
		return earlier(alive.Add(activeEvery), c.answered.Add(relayedEvery))
	case m.sending(now):
		return earlier(alive.Add(silence), c.answered.Add(activeEvery))
	}
	return c.answered.Add(activeEvery)
}

// tend looks after the path itself.
func (m *machine) tend(c *candidate, now time.Time) {
	if c.tries == 0 {
		if c.next = m.plan(c, now); !due(c.next, now) {
			return
		}
		if !m.interested(now) {
			m.leave(WhyIdle)
			return
		}
	}
	switch {
	case c.tries >= lostAfter:
		m.lose(now)
		return
	case c.tries >= m.patience(c, now):
		if m.alarm(now) {
			return
		}
	case c.tries == 1 && !c.way.Relayed():
		m.warm(c, now)
	}
	m.ask(c, now, c.wait())
}

// patience is how many answers in a row may be missing. Where the peer's packets
// come in some probes may be lost; a way that is silent altogether is dead.
// Packets may be forged: they buy time, and no more than this.
func (m *machine) patience(c *candidate, now time.Time) int {
	if !c.traffic.IsZero() && now.Sub(c.traffic) < hearing {
		return patientAfter
	}
	return suspectAfter
}

// warm asks the others at the first missing answer of the path, so that theirs are
// there if the second is missing too: relays in earnest, and once each address that
// answered lately, since what ended the path may have ended that too.
func (m *machine) warm(path *candidate, now time.Time) {
	for _, c := range m.cands {
		switch {
		case c == path || !c.next.IsZero():
		case c.way.Relayed() && !m.recent(c, now):
			c.tries, c.next = searchTries-2, now
		case !c.way.Relayed() && m.recent(c, now):
			c.tries, c.next = searchTries-1, now
		}
	}
}

// recent tells whether an answer is so young that the way needs not be asked
// again to become the path.
func (m *machine) recent(c *candidate, now time.Time) bool {
	return c.answeredWithin(recently, now) && c.answered.After(m.doubt)
}

// alarm moves away from a suspect path if another candidate answered just now,
// and otherwise asks them all, once.
func (m *machine) alarm(now time.Time) (gone bool) {
	first := !m.alarmed
	m.alarmed = true
	if best := m.best(now); best != nil {
		m.move(best, now)
		return true
	}
	if first {
		m.askAll(now)
	}
	return false
}

// best is the other candidate to take over from a suspect path, unasked. An address
// must have answered a request that left after the first which the path did not
// answer: else two that died together would take turns.
func (m *machine) best(now time.Time) (best *candidate) {
	trouble := m.current.answered
	if len(m.current.flights) > 0 {
		trouble = m.current.flights[0].sent
	}
	for _, c := range m.cands {
		switch {
		case c == m.current || !m.recent(c, now):
		case !c.way.Relayed() && !c.answered.After(trouble):
		case best == nil, c.better(best), c.way.Relayed() == best.way.Relayed() && c.rtt < best.rtt:
			best = c
		}
	}
	return best
}

// reviewPause is how long until the other candidates are asked again: seldom if
// the path is direct, else soon, and later and later.
func (m *machine) reviewPause() time.Duration {
	if m.current == nil || !m.current.way.Relayed() {
		return reviewEvery
	}
	return min(minUpgrade<<min(m.reviews, 8), maxUpgrade)
}

// reviewOthers asks the other candidates while the path is in use: once each, or
// if the path is relayed, together with the peer and in earnest.
func (m *machine) reviewOthers(now time.Time) {
	m.review = time.Time{}
	if m.current == nil || !m.inUse(now) {
		return
	}
	for _, c := range m.cands {
		if c == m.current || !c.next.IsZero() {
			continue
		}
		if c.tries, c.next = searchTries-1, now; m.current.way.Relayed() {
			c.tries = 0
		}
	}
	if m.current.way.Relayed() {
		m.call(now)
		m.reviews++
	}
	m.review = now.Add(m.reviewPause())
}

// move makes c the path.
func (m *machine) move(c *candidate, now time.Time) {
	if old := m.current; old != nil {
		if m.alarmed {
			old.begin(now.Sub(m.since))
		}
		old.next, old.tries = time.Time{}, 0
	}
	m.current, m.since, m.why, m.searching, m.alarmed = c, now, "", false, false
	c.tries, c.next = 0, m.plan(c, now)
	m.reviews = 0
	m.review = now.Add(m.reviewPause())
	m.do(moved, c.way, probe.ID{})
	m.beginMTU(c, now)
}

// leave gives the path up.
func (m *machine) leave(why string) {
	m.current.next, m.current.tries = time.Time{}, 0
	m.current, m.why, m.alarmed, m.review = nil, why, false, time.Time{}
	m.do(moved, Way{}, probe.ID{})
}

// lose gives a path up that has answered no more.
func (m *machine) lose(now time.Time) {
	m.leave(WhyLost)
	if m.interested(now) {
		m.search(now)
		m.why = WhyLost
	}
}

// networkChanged distrusts everything: addresses and routes of this machine are
// others now, or it slept. The path stands until it fails to answer.
func (m *machine) networkChanged(now time.Time) {
	if m.current == nil && !m.interested(now) {
		return
	}
	m.failures, m.doubt = 0, now
	for _, c := range m.cands {
		c.next, c.tries = now, 0
	}
	if m.current == nil {
		m.search(now)
		return
	}
	m.current.tries = suspectAfter - 1
	m.reviews, m.review = 0, now.Add(m.reviewPause())
	m.call(now)
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// earlier gives the earlier of two deadlines, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
