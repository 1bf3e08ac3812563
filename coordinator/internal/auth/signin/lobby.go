package signin

import (
	"slices"
	"time"
)

// Whoever comes from outside of the mesh, to operate it or with a machine that would
// join, is at no machine by which to count them, and has as many programs, keys and
// browsers as they like, behind the address of a whole clinic if they sit in its waiting
// room. So to begin costs them nothing, and takes nothing: what waits for its browser has
// room for very many, the oldest of the address that has most goes first, and nobody is
// refused. A place that counts is given out only when a browser opens the page, and then
// a browser in which somebody signed in here before has places of its person's own. Among
// strangers it holds for a while, and longer once they have gone on to prove themselves.

// Bounds of those who wait for their browser, of strangers at their pages, and of people
// in browsers that are known: of operators, and again of machines that would join. One
// address never has all of its strangers' places taken: fewer may open pages there within
// goneOnPatience.
const (
	maxWaiting, maxWaitingPerAddress     = 2048, 256
	maxStrangers, maxStrangersPerAddress = 1024, 96
	maxKnown, maxKnownPerPerson          = 1024, 8
	// goneOnPatience is how long strangers hold a place who have gone on to the
	// provider, or to where they type a password: some look for their phone then.
	goneOnPatience = 4 * time.Minute
	// fairer divides how long a place holds against who comes from an address that has
	// fewer of them.
	fairer = 4
)

// lobby holds the sign-ins of one kind from outside.
type lobby struct {
	all     []*signin // by age
	waiting *pool     // for a browser, by address
	// At their pages: strangers by address, others by the person who is known.
	strangers, known *pool
	pace             *meter // of pages that strangers open, by address
}

func newLobby() *lobby {
	return &lobby{
		waiting:   newPool(bounds{maxWaiting, maxWaitingPerAddress}),
		strangers: newPool(bounds{maxStrangers, maxStrangersPerAddress}),
		known:     newPool(bounds{maxKnown, maxKnownPerPerson}),
		pace:      newMeter(opensAtOnce, opensPerSecond),
	}
}

// await takes a sign-in in, and gives the one that makes room for it, nil if none must.
func (l *lobby) await(s *signin) (leaves *signin) {
	hood, w := neighbourhood(s.from).String(), l.waiting
	switch {
	case len(w.of[hood]) >= w.perHolder:
		leaves = w.of[hood][0]
	case len(w.all) >= w.inAll:
		leaves = w.of[w.fullest()][0]
	}
	l.all = append(l.all, s)
	w.add(s, hood)
	return leaves
}

// admit gives a sign-in a place, when a browser opens its page that is a stranger's or in
// which that person is known. Of a node's, and of one that has a place, it asks nothing.
func (b *book) admit(now time.Time, s *signin, person string) problem {
	l := b.lobby(s)
	if l == nil || s.stage(now) != opened {
		return none
	}
	if person != "" && b.move(now, s, l.known, person) {
		return none
	}
	hood := neighbourhood(s.from).String()
	if _, room := l.strangers.room(now, hood); !room || !l.pace.allow(now, hood) || !b.move(now, s, l.strangers, hood) {
		return crowded
	}
	return none
}

// move counts a sign-in elsewhere, if there is room for it or room can be made.
func (b *book) move(now time.Time, s *signin, to *pool, holder string) bool {
	victim, room := to.room(now, holder)
	if !room {
		return false
	}
	if victim != nil {
		b.evict(victim, "it was not finished, and others needed its place: begin again")
	}
	s.pool.remove(s)
	to.add(s, holder)
	return true
}

// room tells whether there is a place for one more of a holder's, and who has to make it.
func (p *pool) room(now time.Time, holder string) (victim *signin, room bool) {
	those, mine := p.all, len(p.of[holder])
	switch {
	case mine >= p.perHolder:
		those = p.of[holder]
	case len(p.all) < p.inAll:
		return nil, true
	}
	for _, s := range those {
		if s.yields(now, len(p.of[s.holder]) > mine+1) && (victim == nil || p.sooner(s, victim)) {
			victim = s
		}
	}
	return victim, victim != nil
}

// yields tells whether a sign-in at its pages makes room for another, whose holder has
// fewer or not. What is checked does not, nor a proof that is waited for.
func (s *signin) yields(now time.Time, fewer bool) bool {
	holds := patience
	if s.goneOn {
		holds = goneOnPatience
	}
	if fewer {
		holds /= fairer
	}
	switch s.stage(now) {
	case ended:
		return !s.awaited()
	case expired:
		return true
	case checking:
		return false
	}
	return now.Sub(s.moved) >= holds
}

// sooner tells which of two makes room: what has ended, else who has most, else the older.
func (p *pool) sooner(s, o *signin) bool {
	if over := s.phase == ended; over != (o.phase == ended) {
		return over
	}
	if has, others := len(p.of[s.holder]), len(p.of[o.holder]); has != others {
		return has > others
	}
	return s.moved.Before(o.moved)
}

// goOn notes that a person has gone on from the first page, the first time that they do:
// a place is not held by going to and fro.
func (s *signin) goOn(now time.Time) {
	if !s.goneOn {
		s.goneOn, s.moved = true, now
	}
}

// pool counts sign-ins by who holds them.
type pool struct {
	all []*signin
	of  map[string][]*signin
	bounds
}

type bounds struct{ inAll, perHolder int }

func newPool(b bounds) *pool { return &pool{of: map[string][]*signin{}, bounds: b} }

func (p *pool) add(s *signin, holder string) {
	s.pool, s.holder = p, holder
	p.all, p.of[holder] = append(p.all, s), append(p.of[holder], s)
}

func (p *pool) remove(s *signin) {
	p.all = without(p.all, s)
	drop(p.of, s.holder, s)
}

// fullest gives who holds most, of several the one whose first is oldest.
func (p *pool) fullest() (holder string) {
	for who, those := range p.of {
		if most := p.of[holder]; len(those) > len(most) || len(those) == len(most) && those[0].since.Before(most[0].since) {
			holder = who
		}
	}
	return holder
}

func drop[K comparable](of map[K][]*signin, k K, s *signin) {
	if of[k] = without(of[k], s); len(of[k]) == 0 {
		delete(of, k)
	}
}

func without(those []*signin, s *signin) []*signin {
	if i := slices.Index(those, s); i >= 0 {
		return slices.Delete(those, i, i+1)
	}
	return those
}
