package local

import (
	"maps"
	"slices"
	"time"
)

// How many wrong proofs there may be.
const (
	// Of one login at one node: some at once, then one after each wait, which
	// doubles. They are forgiven by a right proof, and by time.
	pairFree    = 5
	pairWait    = time.Minute
	pairForgets = time.Hour

	// Where a machine is everybody's, its right person waits for a stranger's guesses, so a
	// wait is short. But who goes on and on waits longer: once more than pairOften were
	// wrong, of which one is forgiven as slowly as the long waits let one more be. So the
	// short ones give pairOften guesses more than these would, once, however long it goes on.
	pairMaxWait  = 5 * time.Minute
	pairLongWait = 15 * time.Minute
	pairOften    = 16
	pairForgives = pairLongWait

	// Of one login anywhere: so many, each forgiven after a while, and it is locked.
	// Each lock-out of a day is twice as long as the one before. Where the person is
	// known it does not hold.
	loginFree    = 20
	loginForgets = 10 * time.Minute
	lockFirst    = 15 * time.Minute
	lockLongest  = 4 * time.Hour
	locksForget  = 24 * time.Hour

	// Of one node, whatever the login: many people may share it. Who is known there
	// does not wait for others.
	nodeFree      = 200
	nodePerSecond = 1.0 / 3
	nodeSeats     = 5 // times as much of a node with seats, beside that of each

	maxLogins = 2048 // that are remembered, whoever has them
	maxPairs  = 64   // nodes and seats of one login
	maxNodes  = 8192
)

// throttle counts wrong proofs. It is a pure machine: the clock comes from outside.
type throttle struct {
	logins map[string]*account
	nodes  map[spot]*bucket
}

// account is what is remembered of a login.
type account struct {
	wrong  float64
	at     time.Time // of wrong
	locks  int
	locked time.Time // exclusive
	pairs  map[spot]*pair
}

// pair is what is remembered of a login at a node, or at a seat of one.
type pair struct {
	wrong int
	at    time.Time // of the latest wrong
	until time.Time // nothing is heard before
	often float64   // wrong in all, less what time had forgiven at that moment; no right proof forgives it
}

func newThrottle() *throttle {
	return &throttle{logins: map[string]*account{}, nodes: map[spot]*bucket{}}
}

// charge is what one proof did to the counts.
type charge struct {
	wait   time.Duration // it is not to be looked at before; 0: look
	locked bool          // it has locked the login
	until  time.Time     // that it made its login wait for, at its node; zero: it did not
}

// charge takes a proof for wrong, before it is looked at: many that come at once must
// not all be judged before the first counts. Where the person is known,
// what others do elsewhere, or to other logins there, is not theirs to wait for.
func (t *throttle) charge(now time.Time, login string, at spot, known bool) (c charge) {
	a, buckets := t.account(now, login), t.buckets(now, at)
	a.forget(now)
	switch wait := a.wait(now, at); {
	case wait > 0:
		return charge{wait: wait}
	case known:
	case now.Before(a.locked):
		return charge{wait: a.locked.Sub(now)}
	case slices.ContainsFunc(buckets, (*bucket).full):
		return charge{wait: time.Duration(float64(time.Second) / nodePerSecond)}
	}
	for _, b := range buckets {
		b.wrong++
	}
	p := a.pair(at) // not before: what is refused pushes nothing out
	p.count(now)
	if over := p.wrong - pairFree; over >= 0 {
		p.until = now.Add(min(p.longest(), pairWait<<min(over, 10)))
		c.until = p.until
	}
	if a.wrong++; a.wrong >= loginFree && !now.Before(a.locked) {
		a.locked = now.Add(min(lockLongest, lockFirst<<min(a.locks, 10)))
		a.wrong, a.locks, c.locked = a.wrong-loginFree, a.locks+1, true
	}
	return c
}

// settle takes a charge back, with the wait or the lock-out that it made, and nothing of
// what was counted before it: who could have that forgotten had guesses without end. Who
// was right is forgiven what was wrong there before.
func (t *throttle) settle(login string, at spot, c charge, right bool) {
	for _, s := range at.counts() {
		if b := t.nodes[s]; b != nil {
			b.wrong = max(0, b.wrong-1)
		}
	}
	a := t.logins[login]
	if a == nil {
		return
	}
	if c.locked {
		a.locked, a.locks, a.wrong = time.Time{}, a.locks-1, a.wrong+loginFree
	}
	a.wrong = max(0, a.wrong-1)
	p := a.pair(at)
	p.often = max(0, p.often-1)
	if p.wrong = max(0, p.wrong-1); p.until.Equal(c.until) {
		p.until = time.Time{}
	}
	if right {
		*p = pair{at: p.at, often: p.often}
	}
}

func (t *throttle) account(now time.Time, login string) *account {
	a := t.logins[login]
	if a == nil {
		if len(t.logins) >= maxLogins {
			t.makeRoom(now)
		}
		a = &account{pairs: map[spot]*pair{}}
		t.logins[login] = a
	}
	return a
}

// makeRoom forgets the logins that were tried longest ago, those that are locked last.
// Whether anybody has one does not matter: else what is remembered of it would tell that.
func (t *throttle) makeRoom(now time.Time) {
	order := slices.SortedFunc(maps.Keys(t.logins), func(a, b string) int {
		return t.logins[a].compare(t.logins[b], now)
	})
	for _, login := range order[:maxLogins/4] {
		delete(t.logins, login)
	}
}

// lockedOut adds the logins that are locked, each with the latest end.
func (t *throttle) lockedOut(now time.Time, until map[string]time.Time) {
	for login, a := range t.logins {
		if now.Before(a.locked) && until[login].Before(a.locked) {
			until[login] = a.locked
		}
	}
}

func (a *account) compare(o *account, now time.Time) int {
	if mine, theirs := now.Before(a.locked), now.Before(o.locked); mine != theirs {
		if mine {
			return 1
		}
		return -1
	}
	return a.at.Compare(o.at)
}

func (a *account) forget(now time.Time) {
	a.wrong = max(0, a.wrong-max(0, now.Sub(a.at).Seconds())/loginForgets.Seconds())
	a.at = now
	if now.Sub(a.locked) > locksForget {
		a.locks = 0
	}
}

// wait tells for how long nothing of the login is heard there.
func (a *account) wait(now time.Time, at spot) time.Duration {
	p := a.pairs[at]
	if p == nil {
		return 0
	}
	p.forget(now)
	return max(0, p.until.Sub(now))
}

// pair gives what is remembered of a node or seat, making room by what was wrong longest
// ago.
func (a *account) pair(at spot) *pair {
	if p := a.pairs[at]; p != nil {
		return p
	}
	if len(a.pairs) >= maxPairs {
		var oldest spot
		var least *pair
		for s, p := range a.pairs {
			if least == nil || p.at.Before(least.at) {
				oldest, least = s, p
			}
		}
		delete(a.pairs, oldest)
	}
	p := new(pair)
	a.pairs[at] = p
	return p
}

func (p *pair) count(now time.Time) {
	p.often = max(0, p.often-max(0, now.Sub(p.at).Seconds())/pairForgives.Seconds()) + 1
	p.wrong, p.at = p.wrong+1, now
}

// longest is what anybody waits for at most after the latest wrong.
func (p *pair) longest() time.Duration {
	if p.often > pairOften {
		return pairLongWait
	}
	return pairMaxWait
}

func (p *pair) forget(now time.Time) {
	if now.Sub(p.at) > pairForgets && !now.Before(p.until) {
		p.wrong = 0
	}
}
