package path

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// step is what a machine wants done; the Set turns it into bytes.
type step struct {
	do stepKind
	to netip.AddrPort
	id probe.ID // of a request or an answer
	// fresh: not by the local address that worked before
	fresh bool
}

type stepKind uint8

const (
	ask stepKind = iota + 1 // send a request
	reply
	moved
	answered
	unanswered
)

// machine finds and keeps the path to one peer that is awake.
type machine struct {
	newID func() probe.ID
	total *bucket // requests of all peers
	steps []step

	cands   []*candidate
	current *candidate // the path; nil: none
	since   time.Time
	why     string

	wanted    time.Time // when somebody last wanted to send; zero: never
	searching bool
	failures  int       // searches without answer in a row
	retry     time.Time // when to search again; zero: not
	review    time.Time // when to ask the other candidates; zero: not

	requests, answers, checks bucket
	seen                      []probe.ID // ids of the peer's last requests
}

func (m *machine) do(k stepKind, to netip.AddrPort, id probe.ID) {
	m.steps = append(m.steps, step{do: k, to: to, id: id})
}

func (m *machine) find(a netip.AddrPort) *candidate {
	for _, c := range m.cands {
		if c.addr == a {
			return c
		}
	}
	return nil
}

func (m *machine) interested(now time.Time) bool {
	return !m.wanted.IsZero() && now.Sub(m.wanted) < interest
}

// setGiven takes the addresses that the map names now. A path that leads to an
// address which is named no more is kept while it works.
func (m *machine) setGiven(now time.Time, list []netip.AddrPort) {
	m.cands = slices.DeleteFunc(m.cands, func(c *candidate) bool {
		c.given = c.given && slices.Contains(list, c.addr)
		return !c.given && c != m.current && c.heard.IsZero()
	})
	for _, a := range list {
		if c := m.find(a); c != nil {
			c.given = true
			continue
		}
		c := &candidate{addr: a, given: true}
		m.cands = append(m.cands, c)
		if m.interested(now) {
			c.next = now
			m.hunt()
		}
	}
}

// hunt notes that candidates without an answer are being asked.
func (m *machine) hunt() {
	if m.current == nil && !m.searching {
		m.searching, m.why = true, WhySearching
	}
}

// want takes note that somebody wants to send to the peer.
func (m *machine) want(now time.Time) {
	fresh := m.wanted.IsZero() || now.Sub(m.wanted) >= freshWant
	m.wanted = now
	switch {
	case m.current != nil:
		m.hurry(now)
	case m.searching:
	case fresh || m.retry.IsZero():
		m.failures = 0
		m.search(now)
	}
}

// hurry brings the next request on the path forward: it was quiet and may have
// died since.
func (m *machine) hurry(now time.Time) {
	c := m.current
	if c.tries > 0 {
		return
	}
	c.next = earlier(c.next, later(c.answered.Add(activeEvery), now))
	if m.review.IsZero() {
		m.review = now.Add(reviewEvery)
	}
}

// ping asks at once, whatever the plan was.
func (m *machine) ping(now time.Time) {
	m.want(now)
	if m.current != nil {
		m.current.next = now
	} else if !m.searching {
		m.search(now)
	}
}

// networkChanged distrusts everything: addresses and routes of this machine are
// others now. The path stands until it fails to answer.
func (m *machine) networkChanged(now time.Time) {
	if m.current == nil && !m.interested(now) {
		return
	}
	m.failures = 0
	for _, c := range m.cands {
		c.next, c.tries = now, 0
	}
	if m.current != nil {
		m.current.tries = suspectAfter - 1
		return
	}
	m.search(now)
}

// search asks every candidate.
func (m *machine) search(now time.Time) {
	m.retry = time.Time{}
	if len(m.cands) == 0 {
		m.why = WhyNoCandidates
		m.do(unanswered, netip.AddrPort{}, probe.ID{})
		return
	}
	m.hunt()
	m.askAll(now)
}

func (m *machine) askAll(now time.Time) {
	for _, c := range m.cands {
		if c != m.current {
			c.tries, c.next = 0, now
		}
	}
}

// tick does what is due.
func (m *machine) tick(now time.Time) {
	if due(m.retry, now) {
		m.search(now)
	}
	if due(m.review, now) {
		m.reviewOthers(now)
	}
	for _, c := range m.cands {
		switch {
		case !due(c.next, now):
		case c == m.current:
			m.tend(c, now)
		case c.tries >= searchTries:
			c.next = time.Time{}
		default:
			m.ask(c, now, searchWait<<c.tries)
		}
	}
}

// reviewOthers asks each other candidate once, while the path is in use.
func (m *machine) reviewOthers(now time.Time) {
	m.review = time.Time{}
	if m.current == nil || now.Sub(m.wanted) >= quietAfter {
		return
	}
	for _, c := range m.cands {
		if c != m.current && c.next.IsZero() {
			c.tries, c.next = searchTries-1, now
		}
	}
	m.review = now.Add(reviewEvery)
}

// tend looks after the path itself.
func (m *machine) tend(c *candidate, now time.Time) {
	if c.tries == 0 && !m.interested(now) {
		if c.next = c.answered.Add(trust); due(c.next, now) {
			m.leave(WhyIdle)
		}
		return
	}
	switch {
	case c.tries >= lostAfter:
		m.leave(WhyLost)
		if m.interested(now) {
			m.search(now)
			m.why = WhyLost
		}
		return
	case c.tries == suspectAfter && m.replace(now):
		return
	}
	m.ask(c, now, c.wait())
}

// replace moves away from a suspect path if another candidate answered just
// now, and otherwise asks them all.
func (m *machine) replace(now time.Time) bool {
	var best *candidate
	for _, c := range m.cands {
		ok := c != m.current && !c.answered.IsZero() && now.Sub(c.answered) <= recent
		if ok && (best == nil || c.rtt < best.rtt) {
			best = c
		}
	}
	if best == nil {
		m.askAll(now)
		return false
	}
	m.move(best, now)
	return true
}

// ask sends a request, unless the limits put it off; wait is how long its answer
// may take.
func (m *machine) ask(c *candidate, now time.Time, wait time.Duration) {
	if ok, at := m.requests.ready(now, requestsPerPeer()); !ok {
		c.next = at
		return
	}
	if ok, at := m.total.take(now, requestsInTotal()); !ok {
		c.next = at
		return
	}
	m.requests.take(now, requestsPerPeer())
	id, again := m.newID(), c.tries%2 == 1
	c.sent(id, now)
	c.next = now.Add(wait)
	m.steps = append(m.steps, step{do: ask, to: c.addr, id: id, fresh: again})
}

// settle ends a search that has asked everybody in vain.
func (m *machine) settle(now time.Time) {
	if !m.searching || m.current != nil || slices.ContainsFunc(m.cands, func(c *candidate) bool { return !c.next.IsZero() }) {
		return
	}
	m.searching, m.why = false, WhyNoAnswer
	m.cands = slices.DeleteFunc(m.cands, func(c *candidate) bool { return !c.given })
	m.do(unanswered, netip.AddrPort{}, probe.ID{})
	if m.interested(now) {
		m.retry = now.Add(min(minBackoff<<m.failures, maxBackoff))
		m.failures = min(m.failures+1, 5)
	}
}

// asleep tells whether there is nothing to keep: no path, no search, no plan.
func (m *machine) asleep(now time.Time) bool {
	return m.current == nil && !m.searching && m.retry.IsZero() && !m.interested(now)
}

// next is the earliest deadline; zero if there is none.
func (m *machine) next() (t time.Time) {
	t = earlier(m.retry, m.review)
	for _, c := range m.cands {
		t = earlier(t, c.next)
	}
	if t.IsZero() && !m.wanted.IsZero() {
		return m.wanted.Add(interest) // to fall asleep
	}
	return t
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
