package path

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/pace"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// step is what a machine wants done; the Set turns it into bytes.
type step struct {
	do stepKind
	to Way
	id probe.ID // of a request or an answer
	// fresh: not by the local address that worked before
	fresh bool
	// size of a padded request; 0: not padded
	size int
}

type stepKind uint8

const (
	ask stepKind = iota + 1 // send a request
	reply
	call // ask the peer to probe us
	moved
	answered
	unanswered
	resized
)

// machine finds and keeps the path to one peer that is awake.
type machine struct {
	*commons
	steps []step

	cands   []*candidate // relayed ones first: they are asked first when requests are short
	current *candidate   // the path; nil: none
	since   time.Time
	why     string
	alarmed bool      // current missed too many answers; whoever answers takes over
	doubt   time.Time // no answer before tells anything: this machine moved or slept

	wanted    time.Time // when somebody last wanted to send; zero: never
	searching bool
	failures  int       // searches without answer in a row
	retry     time.Time // when to search again; zero: not
	review    time.Time // when to ask the other candidates; zero: not
	reviews   int       // reviews since the path is relayed
	lastCall  time.Time // when we last called

	// shorter is how often the pace on a quiet path was doubled, because a NAT
	// on the way forgot it meanwhile.
	shorter int

	requests, answers, checks, calls, learns pace.Bucket

	seen []probe.ID // ids of the peer's last requests
}

func (m *machine) do(k stepKind, to Way, id probe.ID) {
	m.steps = append(m.steps, step{do: k, to: to, id: id})
}

func (m *machine) find(w Way) *candidate {
	for _, c := range m.cands {
		if c.way == w {
			return c
		}
	}
	return nil
}

// add puts a candidate to the others, a relayed one in front.
func (m *machine) add(c *candidate) *candidate {
	at := len(m.cands)
	if c.way.Relayed() {
		at = 0
	}
	m.cands = slices.Insert(m.cands, at, c)
	return c
}

// interested tells whether somebody wanted to send so lately that the path is
// kept; inUse, whether packets flow, with pauses; sending, whether they flow now.
func (m *machine) interested(now time.Time) bool { return m.wantedWithin(interest, now) }
func (m *machine) inUse(now time.Time) bool      { return m.wantedWithin(quietAfter, now) }
func (m *machine) sending(now time.Time) bool    { return m.wantedWithin(sendingFor, now) }

func (m *machine) wantedWithin(d time.Duration, now time.Time) bool {
	return !m.wanted.IsZero() && now.Sub(m.wanted) < d
}

// setGiven takes the addresses that the map names now. A path that leads to an
// address which is named no more is kept while it works.
func (m *machine) setGiven(now time.Time, list []netip.AddrPort) {
	m.cands = slices.DeleteFunc(m.cands, func(c *candidate) bool {
		if c.way.Relayed() || slices.Contains(list, c.way.Addr) {
			return false
		}
		c.given = false
		return m.needless(c)
	})
	for _, a := range list {
		m.give(now, Direct(a))
	}
}

// setHome takes the relay at which the peer is at home now; "": none.
func (m *machine) setHome(now time.Time, r Relay) {
	m.cands = slices.DeleteFunc(m.cands, func(c *candidate) bool {
		if !c.way.Relayed() || c.way.Relay == r {
			return false
		}
		c.given = false
		return m.needless(c)
	})
	if r == "" {
		return
	}
	known := m.relay() != nil
	m.give(now, Through(r))
	if !known && m.interested(now) {
		m.call(now) // the search began before there was a way to call by
	}
}

// needless tells whether nothing speaks for a candidate any more.
func (m *machine) needless(c *candidate) bool {
	return c.learnt() && c != m.current && c.heard.IsZero()
}

func (m *machine) give(now time.Time, w Way) {
	c := m.find(w)
	if c == nil {
		c = m.add(&candidate{way: w})
		if m.interested(now) {
			c.next = now
			m.hunt()
		}
	}
	c.given = true
}

// hunt notes that candidates without an answer are being asked.
func (m *machine) hunt() {
	if m.current == nil && !m.searching {
		m.searching, m.why = true, WhySearching
	}
}

// want takes note that somebody wants to send to the peer.
func (m *machine) want(now time.Time) {
	fresh := !m.wantedWithin(freshWant, now)
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
	if m.review.IsZero() {
		m.reviews = 0
		if m.review = now.Add(m.reviewPause()); m.current.way.Relayed() {
			m.review = now
		}
	}
	m.resumeMTU(now)
	if c := m.current; c.tries == 0 {
		c.next = earlier(c.next, later(m.plan(c, now), now))
	}
}

// ping asks at once, whatever the plan was.
func (m *machine) ping(now time.Time) {
	m.want(now)
	if m.current != nil {
		m.ask(m.current, now, m.current.wait())
	} else if !m.searching {
		m.search(now)
	}
}

// search asks every candidate.
func (m *machine) search(now time.Time) {
	m.retry = time.Time{}
	m.seekElsewhere(now)
	if len(m.cands) == 0 {
		m.why = WhyNoCandidates
		m.do(unanswered, Way{}, probe.ID{})
		return
	}
	m.hunt()
	m.askAll(now)
	m.call(now)
}

func (m *machine) askAll(now time.Time) {
	for _, c := range m.cands {
		if c != m.current {
			c.tries, c.next = 0, now
		}
	}
}

// ask sends a request, unless the limits put it off; wait is how long its answer
// may take.
func (m *machine) ask(c *candidate, now time.Time, wait time.Duration) {
	if ok, at := m.mayAsk(c, now); !ok {
		c.next = at
		return
	}
	id, again := m.newID(), c.tries%2 == 1
	c.sent(id, now)
	c.next = now.Add(wait)
	m.steps = append(m.steps, step{do: ask, to: c.way, id: id, fresh: again})
}

// mayAsk spends a request, or says when there will be one. Who answered lately
// wants our requests, and a relay carries them to nobody but the peer: the
// limits that protect strangers are not theirs.
func (m *machine) mayAsk(c *candidate, now time.Time) (bool, time.Time) {
	if ok, at := m.requests.Ready(now, requestsPerPeer()); !ok {
		return false, at
	}
	if !c.way.Relayed() && !c.answeredWithin(provenFor, now) {
		if ok, at := m.budget(now, c.way.Addr.Addr()); !ok {
			return false, at
		}
	}
	return m.requests.Take(now, requestsPerPeer())
}

// settle ends a search that has asked everybody in vain.
func (m *machine) settle(now time.Time) {
	if !m.searching || m.current != nil || slices.ContainsFunc(m.cands, func(c *candidate) bool { return !c.next.IsZero() }) {
		return
	}
	m.searching, m.why = false, WhyNoAnswer
	m.cands = slices.DeleteFunc(m.cands, func(c *candidate) bool { return !c.given })
	m.do(unanswered, Way{}, probe.ID{})
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
	if m.current != nil {
		t = earlier(t, m.current.mtu.next)
	}
	for _, c := range m.cands {
		t = earlier(t, c.next)
	}
	if t.IsZero() && !m.wanted.IsZero() {
		return m.wanted.Add(interest) // to fall asleep
	}
	return t
}

// info is the machine's part of Info.
func (m *machine) info() Info {
	in := Info{Why: m.why}
	for _, c := range m.cands {
		in.LastAnswer = later(in.LastAnswer, c.answered)
		if !c.way.Relayed() {
			in.Candidates++
		}
	}
	if c := m.current; c != nil {
		in.Endpoint, in.Relay, in.RTT, in.Since, in.Why = c.way.Addr, c.way.Relay, c.rtt, m.since, ""
		in.MTU = c.mtu.size
		if c.way.Relayed() {
			in.Why = WhyRelayed
		}
	}
	return in
}
