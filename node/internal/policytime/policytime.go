// Package policytime keeps the time by which rights end. A machine's own clock
// cannot be that time: whoever sets it back an hour would have an ended login
// back, and Go's monotonic clock stands still while a laptop sleeps.
//
// Policy time is the signed time of the coordinator's last lease plus what
// CLOCK_BOOTTIME, which runs through suspend and which nobody sets, counted
// since. It never goes back: not when a later lease names an earlier time, and
// not over a restart, because a stamp on disk is its floor.
//
// Between a start and the first lease after it ("cold") nobody knows for how
// long the machine was off. Rules for machines then go by the stamp alone, so
// that a pump reaches its server although the battery of its gateway's clock is
// flat. Rules that need something of a person go by the later of wall clock and
// stamp, so that no login outlives a night in a drawer.
//
// A machine that never heard a lease knows nothing better than its wall clock,
// and forgets it again with the first lease.
//
// A wall clock more than [AlarmAfter] away from policy time is reported: one of
// the two is wrong, and certificates and logs go by the wall clock.
//
// The package judges nothing and reads no lease: control verifies those.
package policytime

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// AlarmAfter is how far wall clock and policy time may lie apart.
	AlarmAfter = time.Minute

	// StampEvery is how much policy time a crash may lose.
	StampEvery = time.Minute
)

// Store keeps the stamp over restarts.
type Store interface {
	// Load gives the stamp, or the zero time if there never was one. An error
	// means that there is one and that it cannot be trusted.
	Load() (time.Time, error)
	// Save returns when the stamp is durable.
	Save(time.Time) error
}

// Options of a clock. Store is needed; the rest has the machine's defaults.
type Options struct {
	Store Store
	Wall  func() time.Time     // default time.Now
	Boot  func() time.Duration // since boot, suspend included; default SinceBoot
	Log   *slog.Logger         // default: discard
}

// Clock gives policy time. Its methods may be called by several goroutines.
type Clock struct {
	wall  func() time.Time
	boot  func() time.Duration
	store Store
	log   *slog.Logger

	mu      sync.Mutex // one writer of base, one Save at a time
	base    atomic.Pointer[base]
	alarmed bool
}

// base is where policy time was last known, and when that was.
type base struct {
	policy time.Time
	boot   time.Duration
	warm   bool // a lease was heard since the start
	known  bool // from a lease or a stamp; else it is the wall clock, and no floor
}

// New makes a clock that stands at the stamp. It fails if the stamp is there
// and cannot be read: a floor that may be too low would give ended rights back,
// so the caller must then wait for the coordinator before it permits anything.
func New(o Options) (*Clock, error) {
	c := &Clock{wall: o.Wall, boot: o.Boot, store: o.Store, log: o.Log}
	if c.wall == nil {
		c.wall = time.Now
	}
	if c.boot == nil {
		c.boot = SinceBoot
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	stamp, err := c.store.Load()
	if err != nil {
		return nil, fmt.Errorf("read the policy time stamp: %w; permit nothing until the coordinator was heard", err)
	}
	first := &base{policy: stamp, boot: c.boot(), known: !stamp.IsZero()}
	if !first.known {
		first.policy = c.wall()
	}
	c.base.Store(first)
	return c, nil
}

// Now is policy time, by which rules for machines are judged.
func (c *Clock) Now() time.Time {
	b := c.base.Load()
	return b.policy.Add(c.boot() - b.boot)
}

// Human is the time by which rules with a human condition are judged.
func (c *Clock) Human() time.Time {
	_, policy, ahead := c.Read()
	return policy.Add(ahead)
}

// Read gives one moment by all clocks: the time since boot, policy time, and how
// far the time for rules with a human condition is ahead of it, which is zero
// once a lease was heard and never negative. It is called for every batch of
// packets, and does not wait.
func (c *Clock) Read() (boot time.Duration, policy time.Time, ahead time.Duration) {
	b := c.base.Load()
	boot = c.boot()
	policy = b.policy.Add(boot - b.boot)
	if !b.warm {
		ahead = max(0, c.wall().Sub(policy))
	}
	return boot, policy, ahead
}

// Warm tells whether a lease was heard since the start.
func (c *Clock) Warm() bool { return c.base.Load().warm }

// Lease takes the signed time of a verified lease, and makes the stamp durable.
// The clock has moved even if saving failed.
func (c *Clock) Lease(signed time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Now()
	if signed.After(now) || !c.base.Load().known {
		now = signed
	}
	c.base.Store(&base{policy: now, boot: c.boot(), warm: true, known: true})
	c.watch()
	return c.save()
}

// Stamp makes the present policy time the floor of the next start.
func (c *Clock) Stamp() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch()
	return c.save()
}

func (c *Clock) save() error {
	if !c.base.Load().known {
		return nil // a stamp of the wall clock could be of a year to come, for good
	}
	if err := c.store.Save(c.Now()); err != nil {
		return fmt.Errorf("save the policy time stamp: %w; after a restart ended rights may seem valid for as long as saving failed", err)
	}
	return nil
}

// Alarm tells how far the wall clock is ahead of policy time (negative: behind)
// and whether that is more than it may be. It is silent while cold, when policy
// time is known to be late.
func (c *Clock) Alarm() (ahead time.Duration, on bool) {
	if !c.Warm() {
		return 0, false
	}
	ahead = c.wall().Sub(c.Now())
	return ahead, ahead.Abs() > AlarmAfter
}

// watch logs an alarm when it begins and when it ends.
func (c *Clock) watch() {
	ahead, on := c.Alarm()
	if on == c.alarmed {
		return
	}
	c.alarmed = on
	if on {
		c.log.Error("wall clock and policy time lie apart; correct this machine's clock, or the coordinator's",
			"wall_ahead", ahead.Round(time.Second))
		return
	}
	c.log.Info("wall clock and policy time agree again")
}

// Run stamps once a minute until ctx ends, and a last time then.
func (c *Clock) Run(ctx context.Context) error {
	tick := time.NewTicker(StampEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.Stamp()
		case <-tick.C:
			if err := c.Stamp(); err != nil {
				c.log.Error(err.Error())
			}
		}
	}
}
