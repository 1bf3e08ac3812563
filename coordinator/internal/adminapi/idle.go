package adminapi

import (
	"context"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// AdminIdle is how long an admin session lasts without a call: what a terminal that
// somebody left open could do ends soon after they left. Other admin tokens are of
// programs, which may rest.
const AdminIdle = 10 * time.Minute

// calls remembers when each admin session last called, since the start: a session
// from before counts as of then.
type calls struct {
	limit time.Duration // 0: none
	since time.Time

	mu sync.Mutex
	at map[string]call // by token
}

type call struct {
	last    time.Time
	running int // that have not been answered
}

func newCalls(limit time.Duration, now time.Time) *calls {
	return &calls{limit: limit, since: now, at: map[string]call{}}
}

// idle tells whether a token is a person's, who has not called for too long.
func (c *calls) idle(t *registry.Token, now time.Time) bool {
	if c.limit == 0 || t.Holder == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quiet(t, now)
}

func (c *calls) quiet(t *registry.Token, now time.Time) bool {
	last := c.since
	if t.Created.After(last) {
		last = t.Created
	}
	one := c.at[t.ID]
	if one.last.After(last) {
		last = one.last
	}
	return one.running == 0 && now.Sub(last) >= c.limit
}

// begin counts a call of an admin session, and gives what ends it; not of an idle one.
func (c *calls) begin(t *registry.Token, now func() time.Time) (end func(), ok bool) {
	if c.limit == 0 || t.Holder == "" {
		return func() {}, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.quiet(t, now()) {
		return nil, false
	}
	c.count(t.ID, now(), 1)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count(t.ID, now(), -1)
	}, true
}

func (c *calls) count(token string, now time.Time, n int) {
	c.at[token] = call{last: now, running: c.at[token].running + n}
}

// forget drops what is remembered of sessions that are over.
func (c *calls) forget(live map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, one := range c.at {
		if !live[id] && one.running == 0 {
			delete(c.at, id)
		}
	}
}

// EndIdle ends the admin sessions whose people have not called for too long. It is for
// the coordinator to call from time to time; nothing is served to such a session anyhow.
func (a *API) EndIdle(ctx context.Context) {
	live := map[string]bool{}
	for _, t := range a.Registry.Snapshot().Tokens() {
		if t.Holder == "" || t.Over(a.Now()) {
			continue
		}
		if live[t.ID] = !a.calls.idle(t, a.Now()); live[t.ID] {
			continue
		}
		if _, err := a.Registry.Do(ctx, registry.System, registry.EndAdmin{ID: t.ID, Why: "nobody called for " + a.calls.limit.String()}); err != nil && ctx.Err() == nil {
			a.Log.Warn("an idle admin session could not be ended in the journal", "token", t.ID, "error", err)
		}
	}
	a.calls.forget(live)
}
