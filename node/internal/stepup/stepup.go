// Package stepup opens a sign-in for a person whom a rule refused for want of a
// fresher or stronger proof, so that they need no command to go on.
//
// It opens one only when somebody asks what was refused, not when a packet is: who
// looks is who can sign in, a flood of refused packets costs nothing, and a
// machine at which nobody sits opens none.
package stepup

import (
	"context"
	"log/slog"
	"time"
)

const (
	rest       = time.Minute      // from the end of a sign-in that was opened here to the next
	longest    = 15 * time.Minute // no sign-in lives so long
	openWithin = 30 * time.Second // one question to the coordinator, with the way to it

	// shownWithin is how long whoever asks waits for the link. Status must answer
	// when the coordinator is slow: the next time it has the link.
	shownWithin = 2 * time.Second
)

// Options are what an Opener works with. All are needed.
type Options struct {
	// Begin opens a sign-in, in which a person proves anew who they are if afresh is
	// true, and gives its id.
	Begin func(ctx context.Context, afresh bool) (id string, err error)
	// Await returns when that one has ended, or when that cannot be known.
	Await func(ctx context.Context, id string)
	Log   *slog.Logger
}

// Opener opens sign-ins: one at a time, and each a minute after the last has ended
// at the soonest.
type Opener struct {
	o    Options
	asks chan ask // nobody receives while a sign-in is under way
}

type ask struct {
	afresh bool
	done   chan struct{}
}

// New makes an Opener.
func New(o Options) *Opener { return &Opener{o: o, asks: make(chan ask)} }

// Run opens sign-ins until ctx is done.
func (o *Opener) Run(ctx context.Context) error {
	var rested time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-o.asks:
			if time.Now().Before(rested) {
				close(a.done)
				continue
			}
			o.one(ctx, a)
			rested = time.Now().Add(rest)
		}
	}
}

// one opens a sign-in and sees it end.
func (o *Opener) one(ctx context.Context, a ask) {
	id, err := o.begin(ctx, a.afresh)
	close(a.done)
	if err != nil {
		o.o.Log.Warn("a sign-in that a refused flow needs could not be opened", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	o.o.Await(ctx, id)
}

func (o *Opener) begin(ctx context.Context, afresh bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	return o.o.Begin(ctx, afresh)
}

// Offer wants a sign-in. It returns when one was opened or could not be, at once if
// it is too soon for one, and in any case after two seconds.
func (o *Opener) Offer(ctx context.Context, afresh bool) {
	a := ask{afresh: afresh, done: make(chan struct{})}
	select {
	case o.asks <- a:
	default:
		return
	}
	late := time.NewTimer(shownWithin)
	defer late.Stop()
	select {
	case <-a.done:
	case <-late.C:
	case <-ctx.Done():
	}
}
