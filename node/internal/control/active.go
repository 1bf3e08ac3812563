package control

import (
	"context"
	"math"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Activity is what somebody did at this machine.
type Activity struct {
	Ago   time.Duration // since the last of it
	Pause time.Duration // the longest between two activities, of those before
	Told  func()        // is called when the coordinator knows: Pause begins anew
}

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
	a, ever := c.o.Active()
	at := time.Now().Add(-a.Ago)
	c.mu.Lock()
	c.activity.next = time.Now().Add(c.activity.every)
	fresh := ever && at.Sub(c.activity.told) > sameActivity
	c.mu.Unlock()
	if !fresh {
		return
	}
	_, err := ch.Active(ctx, connect.NewRequest(&wire.ActiveRequest{Ago: milliseconds(a.Ago), Pause: milliseconds(a.Pause)}))
	if err != nil {
		c.o.Log.Debug("the coordinator does not hear that somebody is active here", "error", plain(err))
		return
	}
	a.Told()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activity.told = at
}

func milliseconds(d time.Duration) uint32 { return uint32(min(d.Milliseconds(), math.MaxUint32)) }

// sameActivity is how far two looks at one activity may differ.
const sameActivity = 50 * time.Millisecond
