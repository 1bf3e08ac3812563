package path

import (
	"slices"
	"time"
)

// relayUp takes note that datagrams reach a relay again.
func (m *machine) relayUp(now time.Time, r Relay) {
	c := m.find(Through(r))
	if c == nil || !m.interested(now) || c == m.current && c.tries == 0 {
		return
	}
	c.tries, c.next = 0, now
	m.hunt()
	m.call(now)
}

// relayDown takes note that a relay cannot be reached: the path through it is
// suspect at once.
func (m *machine) relayDown(now time.Time, r Relay) {
	if c := m.current; c != nil && c.way.Relay == r && r != "" && c.tries < suspectAfter {
		c.tries, c.next = suspectAfter, now
	}
}

// seekElsewhere asks all other relays for a peer that needs one and whose home
// cannot be reached. The peer will have left that too, and nobody says where it went
// if the coordinator was lost with the relay. Both ends do so, each connects to the
// relays that it asks, and so they meet at any that is left.
func (m *machine) seekElsewhere(now time.Time) {
	lost := func(c *candidate) bool { return m.away[c.way.Relay] }
	if !m.interested(now) || !slices.ContainsFunc(m.cands, func(c *candidate) bool { return c.given && lost(c) }) || m.current != nil && !lost(m.current) {
		return
	}
	for _, r := range m.relays {
		if !m.away[r] && m.find(Through(r)) == nil {
			m.add(&candidate{way: Through(r), next: now})
			m.hunt()
		}
	}
}
