package stun

import (
	"net/netip"
	"time"
)

// target is one address of a server, and the transaction that is open with it,
// if any.
type target struct {
	server string
	addr   netip.AddrPort

	// The transaction. Every try has the same id (RFC 8489, section 6.2.1).
	open  bool
	id    ID
	tries int
	first time.Time // when the first try left
	next  time.Time // when to try again, or to give up. Valid iff open

	// The last answer.
	mapped netip.AddrPort
	at     time.Time // zero: none yet
	rtt    time.Duration
	round  int // in which round it came; 0: none
	failed bool
}

// begin opens a transaction. One that is open already is begun anew, unless its
// answer may be on the way: rounds that come faster than answers must not keep
// us from ever taking one.
func (t *target) begin(now time.Time, id ID) {
	if !t.open || t.tries > 1 {
		t.open, t.id, t.tries, t.next = true, id, 0, now
	}
}

// rto is how long to wait before the first repetition.
func (t *target) rto() time.Duration {
	if t.rtt == 0 {
		return minRTO
	}
	return min(max(2*t.rtt, minRTO), maxRTO)
}

// tried takes note that a try has left at now.
func (t *target) tried(now time.Time) {
	if t.tries == 0 {
		t.first = now
	}
	wait := t.rto() << t.tries
	if t.tries++; t.tries == maxTries {
		wait = t.rto() * finalWait
	}
	t.next = now.Add(min(wait, maxWait))
}

// giveUp ends the transaction without an answer.
func (t *target) giveUp() { t.open, t.failed = false, true }

// answer ends the transaction, and tells whether the server saw us elsewhere
// than earlier in the same round.
func (t *target) answer(now time.Time, mapped netip.AddrPort, round int) (moved bool) {
	moved = t.round == round && t.mapped != mapped
	t.open, t.failed = false, false
	t.mapped, t.at, t.rtt, t.round = mapped, now, max(now.Sub(t.first), time.Microsecond), round
	return moved
}
