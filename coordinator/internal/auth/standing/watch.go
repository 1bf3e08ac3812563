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

// maxAsked bounds how many are asked for at once.
const maxAsked = 8

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
	Every   time.Duration // between two questions for one session, give or take a quarter
}

// Stats are what the watch has come to.
type Stats struct {
	Watched                int
	Stood, Refused, Failed uint64
	Problem                string // why the last question found no answer; empty: it found one
}

// Watch asks the provider for those who are signed in.
type Watch struct {
	Config
	Asking
	wake   chan struct{} // of one: something was added
	unread unread

	mu       sync.Mutex
	sessions map[string]*entry // by id
	stats    Stats
}

type entry struct {
	Watched
	due time.Time
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
	w.sessions[one.Session] = &entry{one, w.next()}
	w.mu.Unlock()
	if old != nil && old.Standing != one.Standing {
		w.Release(old.Standing)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next gives when to ask again: not for a whole hospital at once after a shift began.
func (w *Watch) next() time.Time {
	return w.Now().Add(w.Every*3/4 + rand.N(w.Every/2+1))
}

// Stats gives what came of the questions so far.
func (w *Watch) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Watched = len(w.sessions)
	return s
}

// Run asks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	for {
		due, wait := w.due()
		w.round(ctx, due)
		if len(due) > 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-w.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// due gives up to maxAsked sessions to ask for now, and else how long there is none.
func (w *Watch) due() (due []Watched, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.Now()
	wait = w.Every
	for _, e := range w.sessions {
		if left := e.due.Sub(now); left > 0 {
			wait = min(wait, left)
		} else if len(due) < maxAsked {
			e.due = w.next()
			due = append(due, e.Watched)
		}
	}
	return due, wait
}

// round asks for some at once, and waits for all.
func (w *Watch) round(ctx context.Context, due []Watched) {
	var asked sync.WaitGroup
	for _, one := range due {
		asked.Go(func() { w.look(ctx, one) })
	}
	asked.Wait()
}

// look asks for one session that still stands, and does as the answer says.
func (w *Watch) look(ctx context.Context, one Watched) {
	if !w.Live(one.Node, one.Session) {
		w.drop(one)
		return
	}
	who, err := w.Ask(ctx, one.Standing)
	switch {
	case ctx.Err() != nil, !w.current(one): // who signed in anew has another token, and the old one may be refused for that
		return
	case err == nil:
		w.came(func(s *Stats) { s.Stood, s.Problem = s.Stood+1, "" })
		w.unread.note(one.Subject, w.renew(ctx, who), w.Now())
	case errors.Is(err, ErrRefused):
		w.came(func(s *Stats) { s.Refused, s.Problem = s.Refused+1, "" })
		if err := w.end(ctx, one.Subject, ""); err != nil {
			w.Log.Error("who the provider no longer stands by is not signed out yet", "subject", one.Subject, "error", err)
			return // asked for again, and refused again
		}
		w.drop(one)
	default:
		w.failed(err)
		if errors.Is(err, ErrUnreadable) {
			w.unread.note(one.Subject, err, w.Now())
		}
	}
}

// failed notes that the provider gave no answer. Nobody is signed out for it; the
// log says it once, until there is an answer again.
func (w *Watch) failed(err error) {
	first := false
	w.came(func(s *Stats) { first, s.Failed, s.Problem = s.Problem == "", s.Failed+1, err.Error() })
	if first {
		w.Log.Warn("the provider cannot be asked whether it stands by those who are signed in: nobody is signed out for that", "error", err)
	}
}

func (w *Watch) renew(ctx context.Context, who registry.Identity) error {
	if who.Subject == "" {
		return nil
	}
	r, err := w.Do(ctx, registry.Renew{Who: who})
	if err == nil && len(r.Warnings) > 0 {
		err = errors.New(r.Warnings[0])
	}
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("what the provider says anew of a person is not taken", "subject", who.Subject, "error", err)
	}
	return err
}

func (w *Watch) came(change func(*Stats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.stats)
}

func (w *Watch) current(one Watched) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.sessions[one.Session]
	return e != nil && e.Standing == one.Standing
}

// drop ends the watch over a session, unless it was begun anew meanwhile.
func (w *Watch) drop(one Watched) {
	w.mu.Lock()
	if e := w.sessions[one.Session]; e != nil && e.Standing == one.Standing {
		delete(w.sessions, one.Session)
	}
	w.mu.Unlock()
	w.Release(one.Standing)
}
