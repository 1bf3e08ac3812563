package path

import (
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// The path MTU is found by datagrams alone (DPLPMTUD, RFC 8899): ICMP is dropped
// on half of the ways that clinicians join from, and forged on the rest. Padded
// requests that must not be fragmented are answered, or not; answers are small.
const (
	// baseMTU is BASE_PLPMTU (RFC 8899 section 5.1.2), in bytes of UDP payload.
	baseMTU = 1200
	// stepMTU is how close the search comes: WireGuard pads to as much.
	stepMTU = 16
	// probesMTU is MAX_PROBES: so many requests of a size must go unanswered.
	probesMTU = 3
	// raiseEvery is PMTU_RAISE_TIMER: a larger MTU is looked for so often.
	raiseEvery = 10 * time.Minute
	// errorEvery is how often a path is asked that seems not to carry baseMTU.
	errorEvery = 30 * time.Second
	// confirmEvery is how often the MTU is confirmed while packets flow over a
	// direct path. With three unanswered requests it makes less than 3 s in which
	// large packets vanish.
	confirmEvery = 2 * time.Second

	minLinkMTU = 1280
	maxLinkMTU = 9000
)

// mtuState is a state of RFC 8899 section 5.2.
type mtuState uint8

const (
	mtuDisabled  mtuState = iota // never begun
	mtuBase                      // is baseMTU confirmed?
	mtuSearching                 // something between is being tried
	mtuComplete                  // found; confirmed now and then, raised sometimes
	mtuError                     // not even baseMTU passes
)

// pathMTU is the search on one way.
type pathMTU struct {
	state mtuState
	size  int // the largest that passed; 0: none
	most  int // the smallest that did not pass, or one step above the largest to try
	raise time.Time

	trying int       // the size being asked; 0: none
	id     probe.ID  // of the last request of it
	tries  int       // how many there were
	sent   time.Time // when the last was sent
	paired bool      // a small request left beside the last
	next   time.Time // when there is something to do; zero: not
}

// lands tells whether id is that of the request in flight, which ends with that.
func (p *pathMTU) lands(id probe.ID) bool {
	if p.trying == 0 || p.tries == 0 || p.id != id {
		return false
	}
	p.id = probe.ID{}
	return true
}

// largest is what a way can carry if the link at its start is all that limits it.
func (m *machine) largest(w Way) int {
	headers := 20 + 8
	if w.Addr.Addr().Is6() {
		headers = 40 + 8
	}
	return (m.linkMTU - headers) &^ 3
}

// beginMTU starts the search on a way that has become the path.
func (m *machine) beginMTU(c *candidate, now time.Time) {
	p := &c.mtu
	p.state, p.most, p.raise = mtuBase, m.largest(c.way)+4, time.Time{}
	p.try(baseMTU, now)
}

// try has a size asked next.
func (p *pathMTU) try(size int, now time.Time) { p.trying, p.tries, p.next = size, 0, now }

// resumeMTU goes on where a pause in the traffic stopped it.
func (m *machine) resumeMTU(now time.Time) {
	if p := &m.current.mtu; p.next.IsZero() {
		p.next = now
	}
}

// tendMTU does what is due on the path.
func (m *machine) tendMTU(c *candidate, now time.Time) {
	p := &c.mtu
	switch {
	case !m.inUse(now):
		p.next = time.Time{} // hurry resumes it
	case p.trying == 0:
		m.restMTU(c, now)
	case p.tries < probesMTU:
		m.askSize(c, now)
	default:
		m.unsized(c, now)
	}
}

// restMTU is between searches: the MTU is raised, or confirmed.
func (m *machine) restMTU(c *candidate, now time.Time) {
	p := &c.mtu
	switch {
	case due(p.raise, now):
		m.beginMTU(c, now)
		return
	case p.size > baseMTU && m.sending(now) && !c.way.Relayed():
		p.try(p.size, now)
		m.askSize(c, now)
		return
	}
	p.next = earlier(now.Add(confirmEvery), p.raise)
}

// askSize sends a padded request.
func (m *machine) askSize(c *candidate, now time.Time) {
	p := &c.mtu
	if ok, at := m.mayAsk(c, now); !ok {
		p.next = at
		return
	}
	p.id, p.sent, p.next = m.newID(), now, now.Add(c.wait())
	p.tries++
	m.steps = append(m.steps, step{do: ask, to: c.way, id: p.id, size: p.trying})
	if p.paired = p.tries == probesMTU && c.tries == 0; p.paired {
		m.ask(c, now, c.wait())
	}
}

// sized takes the answer to a padded request.
func (m *machine) sized(c *candidate, now time.Time) {
	p := &c.mtu
	if m.resize(c, max(p.size, p.trying)); p.state == mtuComplete {
		p.trying, p.next = 0, now.Add(confirmEvery)
		return
	}
	p.state = mtuSearching
	m.searchMTU(c, now)
}

// unsized takes note that a size does not pass. Unless a small request beside the
// last was answered, that tells nothing, and the size is tried again.
func (m *machine) unsized(c *candidate, now time.Time) {
	p := &c.mtu
	switch {
	case !p.paired || !c.answered.After(p.sent):
		p.try(p.trying, now.Add(c.wait()))
		return
	case p.state == mtuBase && p.trying == baseMTU:
		m.resize(c, 0)
		p.state, p.trying, p.raise = mtuError, 0, now.Add(errorEvery)
		p.next = p.raise
		return
	case p.state == mtuComplete: // a black hole (RFC 8899 section 4.3)
		m.resize(c, baseMTU)
		m.beginMTU(c, now)
		return
	}
	p.most = p.trying
	m.searchMTU(c, now)
}

// searchMTU tries the largest first, which passes nearly everywhere, and then the
// middle of what is left.
func (m *machine) searchMTU(c *candidate, now time.Time) {
	p := &c.mtu
	top := m.largest(c.way)
	switch {
	case p.most > top && p.size < top:
		p.try(top, now)
	case p.most-p.size > stepMTU:
		p.try((p.size+p.most)/2&^3, now)
	default:
		p.state, p.trying, p.next = mtuComplete, 0, now.Add(confirmEvery)
		p.raise = now.Add(raiseEvery)
	}
}

// resize takes a new MTU of a way, and tells of it if it is the path's.
func (m *machine) resize(c *candidate, size int) {
	if c.mtu.size == size {
		return
	}
	c.mtu.size = size
	if c == m.current {
		m.do(resized, c.way, probe.ID{})
	}
}
