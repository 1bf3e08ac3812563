package path

import (
	"net/netip"
	"slices"
	"time"
)

// Sight is how this node and a peer saw each other in an authentic probe and its
// answer.
type Sight struct {
	Endpoint netip.AddrPort // where the peer answered
	Mapped   netip.AddrPort // where it saw us
}

// Survey asks a peer in earnest at those of its addresses that lie in some of the
// networks, whichever the path is, and gives how many these are. Sights tells what
// came of it.
func (s *Set) Survey(now time.Time, id string, networks []netip.Prefix) (asked int) {
	s.wake(now, id, func(m *machine, now time.Time) { asked = m.survey(now, networks) })
	return asked
}

// Sights gives the addresses of a peer at which it answered last, not before
// since. Relays tell nothing.
func (s *Set) Sights(id string, since time.Time) (list []Sight) {
	p := s.peers[id]
	if p == nil || p.m == nil {
		return nil
	}
	for _, c := range p.m.cands {
		if !c.way.Relayed() && !c.answered.IsZero() && !c.answered.Before(since) {
			list = append(list, Sight{c.way.Addr, c.mapped})
		}
	}
	return list
}

func (m *machine) survey(now time.Time, networks []netip.Prefix) (asked int) {
	m.want(now)
	for _, c := range m.cands {
		if !c.way.Relayed() && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(c.way.Addr.Addr()) }) {
			m.askAgain(c, now)
			asked++
		}
	}
	return asked
}

// askAgain asks now, whatever the plan was: the path as the path is asked, another
// as one that was not asked yet.
func (m *machine) askAgain(c *candidate, now time.Time) {
	wait := c.wait()
	if c != m.current {
		c.tries = 0
		wait = m.searchPause(c)
	}
	m.ask(c, now, wait)
}
