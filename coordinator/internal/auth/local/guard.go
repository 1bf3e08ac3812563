package local

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// guard is the throttles, and what was counted, for several goroutines.
type guard struct {
	mu       sync.Mutex
	throttle *throttle
	outside  *throttle // of what is at no machine of the mesh
	counted  Stats
	notes    sync.WaitGroup // that are on their way to the audit
}

func (g *guard) locked(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *guard) stats() (s Stats) {
	g.locked(func() { s = g.counted })
	return s
}

// forgive forgets what was wrong of a login whose password is another now: who guessed has
// learned nothing of that one, and whom an operator helps is not to wait for them.
func (g *guard) forgive(login string) {
	g.locked(func() {
		for _, t := range []*throttle{g.throttle, g.outside} {
			delete(t.logins, login)
		}
	})
}

// attempt is one proof that the throttle let through.
type attempt struct {
	p     *People
	login string
	spot  spot
	by    *throttle
	user  string // id; empty: nobody has the login
	at    Place
	made  charge
}

// attempt asks the throttle. It fails with a *WaitError.
func (p *People) attempt(login, user string, at Place, known bool) (a *attempt, err error) {
	a = &attempt{p: p, login: login, spot: at.spot(known), by: p.guard.of(at), user: user, at: at}
	p.guard.locked(func() {
		a.made = a.by.charge(p.cfg.Now(), a.login, a.spot, known)
		if a.made.wait > 0 {
			p.guard.counted.Throttled++
			err = &WaitError{For: a.made.wait}
		}
	})
	return a, err
}

// unjudged takes the attempt back: nobody looked at the proof.
func (a *attempt) unjudged() {
	a.p.guard.locked(func() { a.by.settle(a.login, a.spot, a.made, false) })
}

func (a *attempt) right() {
	a.p.guard.locked(func() {
		a.p.guard.counted.Proved++
		a.by.settle(a.login, a.spot, a.made, true)
	})
}

// wrong leaves the charge standing. A lock-out of a person is told to operators; of a
// login that nobody has there may be as many as a stranger likes, and nobody is harmed. The
// answer does not wait for it: how long it takes would tell which of the two it was.
func (a *attempt) wrong(ctx context.Context) {
	alarm := a.made.locked && a.user != ""
	a.p.guard.locked(func() {
		if a.p.guard.counted.Wrong++; alarm {
			a.p.guard.counted.LockOuts++
		}
	})
	if !alarm {
		a.p.cfg.Log.Info("a proof of a local person was wrong", "known", a.user != "", "at", a.spot.String(), "from", a.at.From)
		return
	}
	a.p.cfg.Log.Warn("somebody guesses: a local person's login is locked for a while, where they have not signed in lately", "login", a.login, "at", a.spot.String(), "from", a.at.From)
	a.p.cfg.Alarm()
	note := registry.Note{Action: "local.lock-out", Object: a.user, Detail: "login " + a.login + ": too many wrong proofs, the last at " + a.spot.String() + " from " + a.at.From.String()}
	a.p.guard.notes.Go(func() {
		if _, err := a.p.cfg.Registry.Do(context.WithoutCancel(ctx), registry.System, note); err != nil {
			a.p.cfg.Log.Error("a lock-out is not in the audit", "error", err)
		}
	})
}

// LockOut is a person's login that somebody guessed at too often.
type LockOut struct {
	Login string
	Until time.Time
}

// LockedOut gives the people who are locked out now, where they are not known, by
// login. That a login which nobody has is locked is nobody's concern.
func (p *People) LockedOut() (all []LockOut) {
	until := map[string]time.Time{}
	p.guard.locked(func() {
		for _, t := range []*throttle{p.guard.throttle, p.guard.outside} {
			t.lockedOut(p.cfg.Now(), until)
		}
	})
	known := p.cfg.Registry.Snapshot()
	for _, login := range slices.Sorted(maps.Keys(until)) {
		if _, ok := known.UserByLogin(login); ok {
			all = append(all, LockOut{login, until[login]})
		}
	}
	return all
}

// Wait waits until the audit has heard of every lock-out so far.
func (p *People) Wait() { p.guard.notes.Wait() }
