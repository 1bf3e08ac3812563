package standing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const every = 5 * time.Minute

// asked is a provider that is asked, and a mesh in which people are signed in.
type asked struct {
	*standing.Watch
	mu       sync.Mutex
	asks     []string // by what they were asked for
	most, at int      // at once
	answer   func(name string) (registry.Identity, error)
	commands []registry.Command
	released []string
	ended    map[string]bool // sessions
	fail     error
	slow     time.Duration // by which each answer takes longer than a second
	log      strings.Builder
}

func newAsked() *asked {
	a := &asked{ended: map[string]bool{}, answer: func(string) (registry.Identity, error) { return registry.Identity{}, nil }}
	a.Watch = standing.NewWatch(standing.Config{Issuer: issuer, Now: time.Now, Log: slog.New(slog.NewTextHandler(&a.log, nil)),
		Do: func(_ context.Context, c registry.Command) (registry.Result, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.commands = append(a.commands, c)
			return registry.Result{}, a.fail
		}}, standing.Asking{Every: every,
		Ask: func(ctx context.Context, name string) (registry.Identity, error) {
			a.locked(func() { a.asks, a.at = append(a.asks, name), a.at+1; a.most = max(a.most, a.at) })
			var slow time.Duration
			a.locked(func() { slow = a.slow })
			time.Sleep(time.Second + slow)
			var answer func(string) (registry.Identity, error)
			a.locked(func() { a.at--; answer = a.answer })
			return answer(name)
		},
		Release: func(name string) { a.locked(func() { a.released = append(a.released, name) }) },
		Live:    func(_, session string) (live bool) { a.locked(func() { live = !a.ended[session] }); return live },
	})
	return a
}

// warned gives how many warnings are in the log of a watch that has ended.
func (a *asked) warned() int { return strings.Count(a.log.String(), "level=WARN") }

func (a *asked) locked(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// says makes the provider answer so from now on, and the mesh fail so.
func (a *asked) says(who registry.Identity, err, fail error) {
	a.locked(func() {
		a.answer = func(string) (registry.Identity, error) { return who, err }
		a.commands, a.fail = nil, fail
	})
}

// done gives what was asked of the mesh since.
func (a *asked) done() (all []registry.Command) {
	a.locked(func() { all = slices.Clone(a.commands) })
	return all
}

// gone gives the tokens that were let go.
func (a *asked) gone() (all []string) {
	a.locked(func() { all = slices.Clone(a.released) })
	return all
}

// during runs the watch in virtual time.
func (a *asked) during(t *testing.T, f func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	f()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func one(name string) standing.Watched {
	return standing.Watched{Node: "n", Session: "s-" + name, Subject: "sub-" + name, Standing: name}
}

// Everybody who is signed in is asked for once in each span, not all at once, and no
// longer when they are signed out.
func TestEverybodyIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			for i := range 50 {
				a.Add(one(fmt.Sprint(i)))
			}
			time.Sleep(every / 2)
			a.locked(func() {
				if got := len(a.asks); got < 10 || got > 40 {
					t.Errorf("asked %d times in half a span for 50", got)
				}
			})
			time.Sleep(every / 2) // the earliest of them is next asked for just after
			synctest.Wait()
			a.locked(func() {
				if got := len(a.asks); got != 50 || a.most > 8 {
					t.Errorf("asked %d times in a span for 50, %d at once", got, a.most)
				}
			})
			a.Add(standing.Watched{Session: "s-none"}) // without a token
			a.locked(func() { a.ended["s-7"] = true })
			time.Sleep(2 * every)
			if s := a.Stats(); s.Watched != 49 || s.Stood < 100 || s.Problem != "" || !slices.Equal(a.gone(), []string{"7"}) {
				t.Errorf("%+v, released %v", s, a.gone())
			}
		})
	})
}

// The provider's clear word alone signs out; what is no answer does nothing, and is told.
func TestClearWordAloneSignsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.Add(one("ana"))
			a.says(registry.Identity{}, errors.New("away"), nil)
			time.Sleep(10 * every)
			if s := a.Stats(); len(a.done()) > 0 || s.Watched != 1 || s.Problem != "away" || s.Failed < 7 {
				t.Errorf("a provider that is away: %v, %+v", a.done(), s)
			}
			who := registry.Identity{Issuer: issuer, Subject: "sub-ana", Groups: []string{"Nurses"}}
			a.says(who, nil, nil)
			time.Sleep(every*3/2 + time.Second)
			if did := a.done(); len(did) == 0 || did[0].(registry.Renew).Who.Groups[0] != "Nurses" || a.Stats().Problem != "" {
				t.Errorf("new groups: %v, %+v", did, a.Stats())
			}
			a.says(who, fmt.Errorf("%w: x", standing.ErrRefused), registry.ErrFull)
			time.Sleep(3 * every)
			if did := a.done(); len(did) < 2 || a.Stats().Watched != 1 {
				t.Errorf("it is not tried again while the journal is full: %v", did)
			}
			a.says(who, standing.ErrRefused, nil)
			time.Sleep(3 * every)
			if did, want := a.done(), (registry.SignOut{Issuer: issuer, Subject: "sub-ana"}); len(did) != 1 || did[0] != registry.Command(want) || a.Stats().Watched != 0 {
				t.Errorf("%v, %+v", did, a.Stats())
			}
		})
	})
}

// Who signs in anew while the old token is asked for is not signed out by its refusal.
func TestOldTokensRefusalIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.locked(func() {
				a.answer = func(name string) (registry.Identity, error) {
					if name == "ana" {
						a.Add(standing.Watched{Node: "n", Session: "s-ana", Subject: "sub-ana", Standing: "anew"})
						return registry.Identity{}, standing.ErrRefused
					}
					return registry.Identity{}, nil
				}
			})
			a.Add(one("ana"))
			time.Sleep(4 * every)
			if len(a.done()) > 0 || a.Stats().Watched != 1 || !slices.Equal(a.gone(), []string{"ana"}) {
				t.Errorf("%v, %+v, released %v", a.done(), a.Stats(), a.gone())
			}
		})
	})
}
