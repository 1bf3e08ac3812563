package path

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// call asks the peer, over a relay, to probe us now, as we probe it: a NAT lets
// in only who was sent to before, so both must send at about the same time. It
// does nothing if no relay leads to the peer.
func (m *machine) call(now time.Time) {
	c := m.relay()
	if c == nil {
		return
	}
	if ok, _ := m.requests.Take(now, requestsPerPeer()); !ok {
		return
	}
	m.lastCall = now
	m.do(call, c.way, probe.ID{})
}

// relay is the relay through which the peer is called; nil: none.
func (m *machine) relay() *candidate {
	if m.current != nil && m.current.way.Relayed() {
		return m.current
	}
	if len(m.cands) > 0 && m.cands[0].way.Relayed() {
		return m.cands[0]
	}
	return nil
}

// called takes an authentic call of the peer. It is a hint: the addresses in it
// are asked, within the limits, and nothing moves before one of them answers.
func (m *machine) called(now time.Time, list []netip.AddrPort) {
	if ok, _ := m.calls.Take(now, callsPerPeer()); !ok {
		return
	}
	m.setCalled(m.clean(list, maxCalled))
	for _, c := range m.cands {
		if c == m.current || c.way.Relayed() || c.answeredWithin(recently, now) {
			continue
		}
		c.tries, c.next = 0, now
		m.hunt()
	}
	if m.current != nil && m.current.tries == 0 {
		m.ask(m.current, now, m.current.wait())
	}
	if m.lastCall.IsZero() || now.Sub(m.lastCall) >= callGap {
		m.call(now) // the peer may know old addresses of ours only
	}
}

// setCalled replaces the addresses of the peer's last call.
func (m *machine) setCalled(list []netip.AddrPort) {
	m.cands = slices.DeleteFunc(m.cands, func(c *candidate) bool {
		if c.way.Relayed() || !c.called || slices.Contains(list, c.way.Addr) {
			return false
		}
		c.called = false
		return m.needless(c)
	})
	for _, a := range list {
		c := m.find(Direct(a))
		if c == nil {
			c = m.add(&candidate{way: Direct(a)})
		}
		c.called = true
	}
}

// ownChanged takes note that this node has other addresses than those that the
// peer was told in a call.
func (m *machine) ownChanged(now time.Time) {
	if m.inUse(now) && (m.current == nil || m.alarmed || m.current.way.Relayed()) {
		m.call(now)
	}
}
