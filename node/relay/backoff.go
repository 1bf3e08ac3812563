package relay

import "time"

// backoff says how long to wait before the next attempt. A link that stood for a
// while is replaced at once: one lost connection is no outage. After that every
// wait is twice the last, and a random part of it, so that the nodes of a
// restarted relay do not come back all at once.
type backoff struct{ failed int }

const (
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second
	stood     = 10 * time.Second // a link that lasted so long begins anew
	// A relay that said that others took this node's place, or that it must not
	// serve it, will say so again.
	longWait = time.Minute
)

// next gives the wait after a link that stood for lasted, 0 if there was none.
// chance is random in [0,1).
func (b *backoff) next(lasted time.Duration, chance float64) time.Duration {
	if lasted >= stood {
		b.failed = 0
	}
	wait := min(firstWait<<min(b.failed, 10), maxWait)
	b.failed++
	if b.failed == 1 && lasted >= stood {
		wait /= 2
	}
	return time.Duration((0.5 + chance/2) * float64(wait))
}
