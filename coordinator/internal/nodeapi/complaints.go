package nodeapi

import (
	"net/netip"
	"sync"
	"time"
)

// complaints lets one line a minute into the log for each source, and some
// hundred for all together, so that a flood of bad requests does not become a
// flood of log. An IPv6 source is its /64: whoever has one address there has all.
type complaints struct {
	now     func() time.Time
	mu      sync.Mutex
	sources map[netip.Prefix]*complaint
	minute  time.Time // in which so many were logged
	logged  int
}

type complaint struct {
	logged time.Time
	since  int // not logged since then
}

const (
	complainEvery = time.Minute
	maxSources    = 4096
	maxComplaints = 200 // a minute
)

func newComplaints(now func() time.Time) *complaints {
	return &complaints{now: now, sources: map[netip.Prefix]*complaint{}}
}

// allow tells whether to log now, and how many complaints about the source were
// left out before.
func (c *complaints) allow(from netip.Addr) (leftOut int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, source := c.now(), sourceOf(from)
	if now.Sub(c.minute) >= complainEvery {
		c.minute, c.logged = now, 0
	}
	e := c.sources[source]
	if e == nil {
		if len(c.sources) >= maxSources {
			clear(c.sources) // costs an attacker with many addresses one line each, up to the bound for all
		}
		e = &complaint{}
		c.sources[source] = e
	}
	if !e.logged.IsZero() && now.Sub(e.logged) < complainEvery || c.logged >= maxComplaints {
		e.since++
		return 0, false
	}
	leftOut, e.since, e.logged = e.since, 0, now
	c.logged++
	return leftOut, true
}

func sourceOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}
