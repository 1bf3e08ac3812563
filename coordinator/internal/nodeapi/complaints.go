package nodeapi

import (
	"net/netip"
	"sync"
	"time"
)

// complaints lets one line a minute into the log for each source, so that a
// flood of bad requests does not become a flood of log. It forgets everybody
// when it is full, which costs an attacker with many addresses one line each.
type complaints struct {
	now     func() time.Time
	mu      sync.Mutex
	sources map[netip.Addr]*complaint
}

type complaint struct {
	logged time.Time
	since  int // not logged since then
}

const (
	complainEvery = time.Minute
	maxSources    = 4096
)

func newComplaints(now func() time.Time) *complaints {
	return &complaints{now: now, sources: map[netip.Addr]*complaint{}}
}

// allow tells whether to log now, and how many complaints were left out before.
func (c *complaints) allow(from netip.Addr) (leftOut int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	e := c.sources[from]
	if e == nil {
		if len(c.sources) >= maxSources {
			clear(c.sources)
		}
		c.sources[from] = &complaint{logged: now}
		return 0, true
	}
	if now.Sub(e.logged) < complainEvery {
		e.since++
		return 0, false
	}
	leftOut, e.since, e.logged = e.since, 0, now
	return leftOut, true
}
