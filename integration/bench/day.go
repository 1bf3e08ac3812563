//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// checkSpan is how often a provider is asked for each session, where nobody says
// otherwise.
const checkSpan = 5 * time.Minute

// day: all that a coordinator does at once on a day like any other. Everybody is signed
// in, at a machine that follows; the provider is asked for each; some leave all the
// time, and as many come. Only the coordinator's processor time counts: provider,
// machines and browsers are other processes.
func (b *bench) day() error {
	people := pick(b, 10000, 300)
	ctx, cancel := context.WithCancel(b.ctx)
	var g group
	defer g.wait()
	defer cancel()
	dir := filepath.Join(b.dir, "day")
	w := &day{ward: ward{swarm: &swarm{bench: b, dir: dir, owners: map[string]wire.Enrolment{}, api: admin.NewSocketClient(filepath.Join(dir, "admin.sock"))},
		every: 24 * time.Hour, secured: true}}
	w.round = int(w.stay().Seconds()*dayRate) + 5
	err := w.begin(ctx, &g, people)
	defer func() { w.coordinator.end(); w.api.Close() }()
	for _, step := range []func(context.Context, *group) error{w.populate, w.arrive, w.still, w.unasked, w.asked} {
		if err == nil {
			err = step(ctx, &g)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, w.coordinator.lastWords())
	}
	return nil
}

// day is a ward in which everybody is signed in.
type day struct {
	ward
	round      int           // of the people, the first so many come and go; the others stay
	rest, ends time.Duration // of a second: all at rest; while some come and go
}

// stay is for how long those are signed in who come and go.
func (w *day) stay() time.Duration { return pick(w.bench, 2*time.Minute, 20*time.Second) }

func (w *day) span() time.Duration { return pick(w.bench, checkSpan, 20*time.Second) }

// arrive signs in all who stay, and lets their machines tell that they have heard of it.
func (w *day) arrive(ctx context.Context, _ *group) error {
	before, err := cpuOf(w.coordinator.pid())
	if err != nil {
		return err
	}
	stay := w.people() - w.round
	err = inParallel(stay, func(i int) error {
		_, err := w.login(ctx, w.round+i)
		return err
	})
	if err != nil {
		return err
	}
	after, err := cpuOf(w.coordinator.pid())
	w.bench.results.add(row{What: fmt.Sprintf("one of %d people signs in for the first time, as fast as it goes: coordinator CPU", stay),
		Value: (after - before).Seconds() * 1000 / float64(stay), Unit: "ms"})
	return errors.Join(err, pauseUntil(ctx, time.Now().Add(pick(w.bench, wire.UnhurriedWithin+10*time.Second, settle))))
}

func (w *day) people() int { return len(w.owners) - swarmGroups }

// still measures what those who are signed in cost who do nothing, and of whom the
// provider is hardly asked.
func (w *day) still(ctx context.Context, _ *group) (err error) {
	w.rest, err = w.share(ctx, pick(w.bench, 2*time.Minute, 10*time.Second))
	w.bench.results.add(row{What: fmt.Sprintf("%d sessions at rest, nobody asked for: coordinator CPU", w.people()-w.round), Value: 100 * w.rest.Seconds(), Unit: "% of a core"})
	return err
}

// share gives what of a second the coordinator takes in a span.
func (w *day) share(ctx context.Context, span time.Duration) (time.Duration, error) {
	spent, err := w.spent(ctx, span)
	return time.Duration(float64(spent) / span.Seconds()), err
}

// unasked measures sessions that end and begin, while the provider is hardly asked.
func (w *day) unasked(ctx context.Context, g *group) (err error) {
	if err := w.reopen(ctx, g, settle); err != nil {
		return err
	}
	came := 0
	if w.ends, came, err = w.comeAndGo(ctx); err != nil {
		return err
	}
	w.bench.results.add(
		row{What: "as many who come as leave, of 10,000 every 12 hours, besides: coordinator CPU", Value: 100 * (w.ends - w.rest).Seconds(), Unit: "% of a core", Note: fmt.Sprintf("%d came", came)},
		row{What: fmt.Sprintf("%d sessions with rolling ends: coordinator CPU", w.people()), Value: 100 * w.ends.Seconds(), Unit: "% of a core", Gate: atMost(5)},
	)
	return nil
}

// asked measures all of it: the same, while the provider is asked for each.
func (w *day) asked(ctx context.Context, g *group) error {
	w.every = w.checks()
	if err := w.reopen(ctx, g, w.every+settle); err != nil { // everybody has been asked for once, by then
		return err
	}
	asked, opened := w.inquiries.asked.Load(), w.inquiries.opened.Load()
	began := time.Now()
	all, _, err := w.comeAndGo(ctx)
	if err != nil {
		return err
	}
	asked, opened = w.inquiries.asked.Load()-asked, w.inquiries.opened.Load()-opened
	rate := float64(asked) / time.Since(began).Seconds()
	if rate < askedRate/2 {
		return fmt.Errorf("the provider was asked %.1f times a second, not %.0f: nothing was measured", rate, askedRate)
	}
	ask := (all - w.ends).Seconds()
	w.bench.results.add(
		row{What: "asking the provider for each every 5 minutes, besides: coordinator CPU", Value: 100 * ask, Unit: "% of a core",
			Note: fmt.Sprintf("%d questions over %d new connections", asked, opened)},
		row{What: "one of these questions", Value: 1000 * ask / rate, Unit: "ms"},
		row{What: fmt.Sprintf("%d sessions with rolling ends, each of which the provider is asked for every 5 minutes: coordinator CPU", w.people()), Value: 100 * all.Seconds(), Unit: "% of a core"},
	)
	return nil
}

// reopen starts the coordinator again, in which those who come stay for a while only, and
// waits until it has settled.
func (w *day) reopen(ctx context.Context, g *group, settled time.Duration) error {
	w.coordinator.end()
	w.flags = w.provided(w.stay())
	if err := w.serve(ctx, g); err != nil {
		return err
	}
	if err := inParallel(len(w.agents), func(i int) error { return w.agents[i].again(ctx, g) }); err != nil {
		return err
	}
	return pauseUntil(ctx, time.Now().Add(settled))
}

// checks is how often each is asked for: fewer are the more often.
func (w *day) checks() time.Duration {
	return time.Duration(float64(checkSpan) * float64(w.people()) / 10000)
}

// comeAndGo gives what of a second the coordinator takes while people come, and those
// leave who came a while ago, as often as of 10,000 every twelve hours.
func (w *day) comeAndGo(ctx context.Context) (share time.Duration, came int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var failed error
	var under group
	under.start(func() {
		rate := float64(time.Second) / dayRate
		tick := time.NewTicker(time.Duration(rate))
		defer tick.Stop()
		for ctx.Err() == nil {
			i := came % w.round
			under.start(func() {
				_, err := w.login(context.WithoutCancel(ctx), i)
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			})
			came++
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	err = pauseUntil(ctx, time.Now().Add(w.stay()+settle)) // those who came first leave, by then
	if err == nil {
		share, err = w.share(ctx, w.span())
	}
	stop()
	under.wait()
	return share, came, errors.Join(err, failed)
}
