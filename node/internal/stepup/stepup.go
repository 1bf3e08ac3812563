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
	"maps"
	"sync"
	"time"
)

const (
	rest       = time.Minute      // from the end of a sign-in that was opened here to the next
	restVain   = time.Hour        // likewise, to the next for a level that the provider did not give
	longest    = 15 * time.Minute // no sign-in lives so long
	openWithin = 30 * time.Second // one question to the coordinator, with the way to it

	// shownWithin is how long whoever asks waits for the link. Status must answer
	// when the coordinator is slow: the next time it has the link.
	shownWithin = 2 * time.Second
)

// Options are what an Opener works with. All are needed.
type Options struct {
	// Begin opens a sign-in for an account (seat; empty: the whole machine), in which a
	// person brings a proof, and gives its id.
	Begin func(ctx context.Context, seat string, proof Proof) (id string, err error)
	// Await returns when that one has ended, or when that cannot be known. It was in vain
	// if the provider does not give the proof's level.
	Await func(ctx context.Context, id string) (vain bool)
	// Now is the time by which one follows another. It never goes back.
	Now func() time.Time
	Log *slog.Logger
}

// Opener opens sign-ins: for each account one at a time, and each a minute after the
// last has ended at the soonest.
type Opener struct {
	o     Options
	asks  chan ask
	ended chan end
}

type ask struct {
	place
	afresh bool
	done   chan struct{}
}

// place is what rests when it was to no avail: one person may have the stronger proof
// that another lacks.
type place struct{ seat, acr string }

// end is that of a sign-in for a place.
type end struct {
	place
	vain bool
}

// New makes an Opener.
func New(o Options) *Opener {
	return &Opener{o: o, asks: make(chan ask), ended: make(chan end)}
}

// Run opens sign-ins until ctx is done.
func (o *Opener) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	open, rested := make(map[string]bool), make(map[place]time.Time)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-o.ended:
			delete(open, e.seat)
			if e.vain {
				rested[e.place] = o.o.Now().Add(restVain)
			}
			rested[place{seat: e.seat}] = o.o.Now().Add(rest)
		case a := <-o.asks:
			now := o.o.Now()
			maps.DeleteFunc(rested, func(_ place, t time.Time) bool { return !now.Before(t) })
			_, rests := rested[place{seat: a.seat}]
			if _, vain := rested[a.place]; rests || vain || open[a.seat] {
				close(a.done)
				continue
			}
			open[a.seat] = true
			all.Go(func() {
				vain := o.one(ctx, a)
				select {
				case o.ended <- end{a.place, vain}:
				case <-ctx.Done():
				}
			})
		}
	}
}

// one opens a sign-in and sees it end.
func (o *Opener) one(ctx context.Context, a ask) (vain bool) {
	id, err := o.begin(ctx, a)
	close(a.done)
	if err != nil {
		o.o.Log.Warn("a sign-in that a refused flow needs could not be opened", "error", err)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	return o.o.Await(ctx, id)
}

func (o *Opener) begin(ctx context.Context, a ask) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	return o.o.Begin(ctx, a.seat, Proof{Afresh: a.afresh, ACR: a.acr})
}

// Offer wants a sign-in for an account. It returns when one was opened or could not
// be, at once if one is under way or it is too soon for one, and in any case after two
// seconds. For a level that the provider did not give there is none for an hour: a link
// that leads nowhere teaches people to click.
func (o *Opener) Offer(ctx context.Context, seat string, proof Proof) {
	a := ask{place: place{seat, proof.ACR}, afresh: proof.Afresh, done: make(chan struct{})}
	late := time.NewTimer(shownWithin)
	defer late.Stop()
	select {
	case o.asks <- a:
	case <-late.C:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-a.done:
	case <-late.C:
	case <-ctx.Done():
	}
}
