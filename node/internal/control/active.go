package control

import (
	"context"
	"math"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// activity is what a courier knows of telling when somebody did something here.
type activity struct {
	every time.Duration // as the map says; 0: it is not told
	next  time.Time     // when to look again
	told  time.Time     // when that was which was told last in this session
}

// begin makes an activity tell at once what it has, to a coordinator that may have
// forgotten.
func (a *activity) begin() { a.next, a.told = time.Time{}, time.Time{} }

// telling takes over how often the coordinator wants to be told.
func (c *courier) telling(every time.Duration) {
	c.mu.Lock()
	changed := c.activity.every != every
	c.activity.every = every
	c.mu.Unlock()
	if changed {
		c.nudge() // to look from now on
	}
}

// stirs gives when to look whether somebody did something; nil: never.
func (c *courier) stirs() <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.activity.every == 0 || c.o.Active == nil {
		return nil
	}
	return time.After(max(0, min(time.Until(c.activity.next), c.activity.every)))
}

// tellActive tells when somebody last did something, if that is later than was told.
// What cannot be delivered is told with the next.
func (c *courier) tellActive(ctx context.Context, ch *channel) {
	ago, ever := c.o.Active()
	at := time.Now().Add(-ago)
	c.mu.Lock()
	c.activity.next = time.Now().Add(c.activity.every)
	fresh := ever && at.Sub(c.activity.told) > sameActivity
	c.mu.Unlock()
	if !fresh {
		return
	}
	_, err := ch.Active(ctx, connect.NewRequest(&wire.ActiveRequest{Ago: uint32(min(ago.Milliseconds(), math.MaxUint32))}))
	if err != nil {
		c.o.Log.Debug("the coordinator does not hear that somebody is active here", "error", plain(err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activity.told = at
}

// sameActivity is how far two looks at one activity may differ.
const sameActivity = 50 * time.Millisecond
