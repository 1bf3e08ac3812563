package signin

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// job is a device grant to be redeemed.
type job struct {
	s     *signin
	grant Grant
}

// sweepEvery is how often the desk looks for what has ended, if nobody comes to it.
const sweepEvery = time.Minute

// Run redeems device grants until ctx ends, and waits for what it began. It is
// called once.
func (d *Desk) Run(ctx context.Context) error {
	defer close(d.closed)
	var all sync.WaitGroup
	defer all.Wait()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sweep.C:
			d.locked(d.book.sweep)
		case j := <-d.grants:
			all.Go(func() { d.redeemGrant(ctx, j) })
		}
	}
}

// openGrant asks the provider for a device grant, and gives it to Run.
func (d *Desk) openGrant(ctx context.Context, s *signin) (Opened, error) {
	var since time.Time
	if s.asked.Afresh {
		since = s.since
	}
	grant, err := d.cfg.Provider.BeginGrant(ctx, since)
	if err != nil {
		d.withdraw(s)
		return Opened{}, fmt.Errorf("sign in by device code: %s", plain(err.Error()))
	}
	d.locked(func(time.Time) {
		if !grant.Until.IsZero() && grant.Until.Before(s.until) {
			s.until = grant.Until
		}
	})
	select {
	case d.grants <- job{s: s, grant: grant}:
		return Opened{ID: s.id, URL: grant.URL, Code: grant.Code, Until: s.until}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-d.closed:
		err = ErrStopped
	}
	d.withdraw(s)
	return Opened{}, err
}

// withdraw forgets a sign-in that was never told to anybody.
func (d *Desk) withdraw(s *signin) {
	d.locked(func(time.Time) {
		s.conclude(Outcome{State: Refused})
		d.book.remove(s)
	})
}

// redeemGrant waits until the person has agreed at the provider.
func (d *Desk) redeemGrant(run context.Context, j job) {
	ctx, cancel := context.WithTimeout(run, j.s.until.Sub(d.cfg.Now()))
	defer cancel()
	lives := false
	d.locked(func(time.Time) {
		if lives = j.s.phase == opened; lives { // else a flood took its place already
			j.s.cancel = cancel
		}
	})
	if !lives {
		return
	}
	who, err := j.grant.Redeem(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.refuse(j.s, plain(err.Error()))
		}
		return
	}
	d.locked(func(now time.Time) {
		if lives = j.s.stage(now) == opened; lives {
			j.s.phase = checking
		}
	})
	if !lives { // another has its place, or its time was over
		d.forget(who)
		return
	}
	ctx, cancel = context.WithTimeout(run, checkLimit)
	defer cancel()
	d.begin(ctx, j.s, who)
}
