// Package activity keeps when people last did something until it is written down
// for all.
//
// A node whose person is at work says so a few times in every span of idleness that
// the policy asks for. Of that nothing is told to anybody before it is in the
// journal, or a coordinator that starts again, and any other, would tell of other
// ends; and the journal must not take an entry for each of ten thousand people in a
// minute. So what comes within a moment is written as one entry, whoever it is of.
// What was not written when the coordinator ends is lost: the nodes tell it again.
//
// It decides nothing: the registry takes no activity of the future, of a session
// that has ended, or from before it began.
package activity

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Config of a Book. Every field is needed.
type Config struct {
	State func() *registry.State
	Write func(ctx context.Context, of map[registry.Sitting]registry.Activity) error
	Now   func() time.Time
	Log   *slog.Logger
}

// Book keeps activity that is not written yet. Its methods may be called by several
// goroutines.
type Book struct {
	cfg  Config
	wake chan struct{} // one slot

	mu sync.Mutex
	of map[registry.Sitting]registry.Activity
}

// New makes an empty Book.
func New(c Config) *Book {
	return &Book{cfg: c, wake: make(chan struct{}, 1), of: map[registry.Sitting]registry.Activity{}}
}

// Note takes down that somebody did something some time ago, as the node says where
// they sit, and what was the longest pause before that.
func (b *Book) Note(at registry.Sitting, ago, pause time.Duration) {
	now, state := b.cfg.Now(), b.cfg.State()
	live := func(s *registry.Session) bool { return at.Is(s) && s.Live(now) }
	if idle(state) == 0 || !slices.ContainsFunc(state.SessionsAt(at.Node), live) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(at, registry.Activity{At: now.Add(-max(0, ago)), Pause: pause})
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// keep joins an activity to what is kept: the later end, and the longer pause.
func (b *Book) keep(at registry.Sitting, a registry.Activity) {
	was := b.of[at]
	if was.At.After(a.At) {
		a.At = was.At
	}
	a.Pause = max(a.Pause, was.Pause)
	b.of[at] = a
}

// Run writes until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gather(idle(b.cfg.State()))):
		}
		b.write(ctx)
	}
}

// write writes what there is. What cannot be written is kept for the next time.
func (b *Book) write(ctx context.Context) {
	b.mu.Lock()
	of := b.of
	b.of = map[registry.Sitting]registry.Activity{}
	b.mu.Unlock()
	err := b.cfg.Write(ctx, of)
	if err == nil || ctx.Err() != nil {
		return
	}
	b.cfg.Log.Warn("when people were last active could not be kept: who goes on working may be taken for idle", "people", len(of), "error", err)
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, a := range of {
		b.keep(at, a)
	}
}

// gather is for how long activity waits for that of others: little of what it
// prolongs, and so long that few entries come of many people.
func gather(idle time.Duration) time.Duration {
	return min(max(idle/16, 250*time.Millisecond), 10*time.Second)
}

func idle(s *registry.State) time.Duration {
	pol, err := s.Policy().Parsed()
	if err != nil {
		return 0
	}
	return pol.Idle()
}
