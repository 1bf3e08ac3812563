package relay

import "time"

// A link that is only kept is asked every pingIdle whether it is alive, which is
// also what keeps NATs and the relay from forgetting it. One that is sent over,
// and gives nothing back, is asked after pingBusy. Either is dead when it does
// not answer within its patience: a user who waits must not wait long.
const (
	pingIdle     = 20 * time.Second
	pingBusy     = 1500 * time.Millisecond
	patienceIdle = 10 * time.Second
	patienceBusy = 3500 * time.Millisecond
)

// alive judges a link by what was heard of it. It keeps no clock.
type alive struct {
	heard   time.Time // anything at all
	sent    time.Time // the last datagram that was queued
	asked   time.Time // the last ping
	waiting bool      // nothing was heard since asked
}

// advice is what to do now, and when to ask again at the latest.
type advice struct {
	ping, dead bool
	next       time.Time
}

func (a *alive) hear(now time.Time) { a.heard, a.waiting = now, false }

// busy: datagrams went out, and nothing came back since.
func (a *alive) busy() bool { return a.sent.After(a.heard) }

func (a *alive) judge(now time.Time) advice {
	wait, patience := pingIdle, patienceIdle
	if a.busy() {
		wait, patience = pingBusy, patienceBusy
	}
	if a.waiting {
		over := a.asked.Add(patience)
		return advice{dead: !now.Before(over), next: over}
	}
	due := a.asked.Add(wait)
	if a.busy() {
		due = later(due, a.heard.Add(wait))
	}
	if now.Before(due) {
		return advice{next: due}
	}
	a.asked, a.waiting = now, true
	return advice{ping: true, next: now.Add(patience)}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
