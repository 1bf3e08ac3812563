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
	Session string        // whose seat it was; empty: the whole machine's
	Ago     time.Duration // since the last of it
	Pause   time.Duration // the longest between two activities, of those before
	Told    func()        // is called when the coordinator knows: Pause begins anew
}

// activity is what a courier knows of telling when somebody did something here.
type activity struct {
	every time.Duration        // as the map says; 0: it is not told
	next  time.Time            // when to look again
	told  map[string]time.Time // when that was which was told last on this channel, by session
}

// begin makes an activity tell at once what it has, to a coordinator that may have
// forgotten.
func (a *activity) begin() { a.next, a.told = time.Time{}, nil }

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

// tellActive tells of each when they last did something, if that is later than was
// told. What cannot be delivered is told with the next.
func (c *courier) tellActive(ctx context.Context, ch *channel) {
	all := c.o.Active()
	c.mu.Lock()
	c.activity.next = time.Now().Add(c.activity.every)
	was := c.activity.told
	c.mu.Unlock()
	told := make(map[string]time.Time, len(all)) // of those who are there still
	for _, a := range all {
		at, before := time.Now().Add(-a.Ago), was[a.Session]
		if at.Sub(before) <= sameActivity || !c.tellOne(ctx, ch, a) {
			at = before
		}
		told[a.Session] = at
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activity.told = told
}

// tellOne tells whether the coordinator heard.
func (c *courier) tellOne(ctx context.Context, ch *channel, a Activity) bool {
	_, err := ch.Active(ctx, connect.NewRequest(&wire.ActiveRequest{
		Ago: milliseconds(a.Ago), Pause: milliseconds(a.Pause), Session: a.Session,
	}))
	if err != nil {
		c.o.Log.Debug("the coordinator does not hear that somebody is active here", "error", plain(err))
		return false
	}
	a.Told()
	return true
}

func milliseconds(d time.Duration) uint32 { return uint32(min(d.Milliseconds(), math.MaxUint32)) }

// sameActivity is how far two looks at one activity may differ.
const sameActivity = 50 * time.Millisecond
