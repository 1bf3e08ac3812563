package standing

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ErrRefused: the provider said clearly that it no longer stands by somebody.
var ErrRefused = errors.New("the provider no longer stands by this person")

// ErrDoubtful: the provider refused, and it may be for what became of an earlier
// question, not for the person.
var ErrDoubtful = errors.New("the provider's refusal is not clear")

// maxAsked bounds how many questions are under way at once: at a provider that takes a
// second for each, 30,000 sessions can be asked for in a span of five minutes.
const maxAsked = 100

// sweepEvery is how often the watch looks which sessions have ended.
const sweepEvery = 20 * time.Second

// Watched is a session that is asked for.
type Watched struct {
	Node, Session string
	Subject       string
	Standing      string // by which Ask finds what it asks with
}

// Asking is what the watch needs of provider and mesh besides Config.
type Asking struct {
	Ask     func(ctx context.Context, standing string) (registry.Identity, error) // ErrRefused, or what says nothing
	Release func(standing string)
	Live    func(node, session string) bool
	Every   time.Duration // between two questions for one session, and at most before the first
}

// Stats are what the watch has come to.
type Stats struct {
	Watched                int
	Stood, Refused, Failed uint64
	Problem                string        // why the last question found no answer; empty: it found one
	Late                   time.Duration // for which the question is overdue that waits longest
	Behind                 bool          // so late that somebody should look into it
}

// Watch asks the provider for those who are signed in.
type Watch struct {
	Config
	Asking
	behind bool          // which the log says; Run's alone
	wake   chan struct{} // of one: something was added, or a question was answered
	unread unread

	mu       sync.Mutex
	sessions map[string]*entry // by id
	waiting  queue             // of these, those of whom no question is under way
	asked    int               // questions under way
	pace     pace
	stats    Stats
}

// NewWatch makes a watch that asks for nobody yet.
func NewWatch(c Config, a Asking) *Watch {
	return &Watch{Config: c, Asking: a, wake: make(chan struct{}, 1), sessions: map[string]*entry{}}
}

// Add watches a session, in the place of what was known of it.
func (w *Watch) Add(one Watched) {
	if one.Standing == "" {
		return
	}
	w.mu.Lock()
	old := w.sessions[one.Session]
	w.put(one)
	w.mu.Unlock()
	if old != nil && old.Standing != one.Standing {
		w.Release(old.Standing)
	}
	w.rouse()
}

// Resume watches sessions that an earlier process watched. When it last asked is not
// known, so they are asked for within one span from now, spread over it: as often as if
// nothing had been, also by a coordinator that starts again and again.
func (w *Watch) Resume(all []Watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range all {
		w.put(one)
	}
}

// put has a session asked for within one span, at a moment that is drawn: a whole
// hospital may have come within minutes, at a shift's change or a coordinator's start,
// and each session keeps its place in the span.
func (w *Watch) put(one Watched) {
	if old := w.sessions[one.Session]; old != nil {
		w.waiting.remove(old)
	}
	e := &entry{Watched: one}
	w.sessions[one.Session] = e
	w.waiting.add(e, w.Now().Add(rand.N(w.Every)+1))
}

// rouse has Run look anew whom to ask for.
func (w *Watch) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Stats gives what came of the questions so far.
func (w *Watch) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Watched, s.Late = len(w.sessions), w.waiting.late(w.Now())
	s.Behind = s.Late > w.lag()
	return s
}

// lag is how late questions may be before somebody is told: who left is found out after
// twice the span then.
func (w *Watch) lag() time.Duration { return max(w.Every, time.Minute) }

// beat is how far apart the moments lie at which questions begin.
func (w *Watch) beat() time.Duration { return min(maxBeat, w.Every/10) }

// Run asks until ctx ends, and waits for what is under way: no question waits for the
// answer to another.
func (w *Watch) Run(ctx context.Context) error {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var under sync.WaitGroup
	defer under.Wait()
	for ctx.Err() == nil {
		one, wait := w.take()
		if one != nil {
			under.Go(func() {
				w.look(ctx, one.Watched)
				w.again(one)
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-sweep.C:
			w.sweep()
			w.complain()
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// take gives a session to ask for now, or else how long to wait for one. While as many
// questions are under way as may be, an answer ends the wait.
func (w *Watch) take() (one *entry, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 || w.asked >= maxAsked {
		return nil, w.Every
	}
	now := w.Now()
	soonest := w.waiting[0].due
	if free := w.pace.from(); free.After(soonest) {
		soonest = free
	}
	if wait = onBeat(soonest, w.beat()).Sub(now); wait > 0 {
		return nil, wait
	}
	w.asked++
	w.pace.count(now, w.Every, w.beat(), len(w.sessions))
	return w.waiting.take(), 0
}

// again has a session asked for anew that is watched still, a span after it was due. Who
// was asked for late finds another place in the span, and not that of all the others
// who were late.
func (w *Watch) again(e *entry) {
	w.mu.Lock()
	w.asked--
	if w.sessions[e.Session] == e {
		due, soonest := e.due.Add(w.Every), w.Now().Add(w.Every/2+rand.N(w.Every/2+1))
		if due.Before(soonest) {
			due = soonest
		}
		w.waiting.add(e, due)
	}
	w.mu.Unlock()
	w.rouse()
}

// complain tells, once for each time that it is so, that questions fall behind.
func (w *Watch) complain() {
	s := w.Stats()
	switch was := w.behind; {
	case s.Behind && !was:
		w.Log.Warn("the provider answers too slowly for all who are signed in: who leaves is found out later than was asked for", "sessions", s.Watched, "late", s.Late.Round(time.Second))
	case was && !s.Behind:
		w.Log.Info("the provider is asked for all who are signed in in time again", "sessions", s.Watched)
	}
	w.behind = s.Behind
}

// sweep lets go of what belongs to sessions that have ended: nobody will be asked for
// by it, and it is to lie nowhere longer than it must.
func (w *Watch) sweep() {
	w.mu.Lock()
	all := make([]Watched, 0, len(w.sessions))
	for _, e := range w.sessions {
		all = append(all, e.Watched)
	}
	w.mu.Unlock()
	for _, one := range all {
		if !w.Live(one.Node, one.Session) {
			w.drop(one)
		}
	}
}

// drop ends the watch over a session, unless it was begun anew meanwhile.
func (w *Watch) drop(one Watched) {
	w.mu.Lock()
	if e := w.sessions[one.Session]; e != nil && e.Standing == one.Standing {
		delete(w.sessions, one.Session)
		w.waiting.remove(e)
	}
	w.mu.Unlock()
	w.Release(one.Standing)
}
