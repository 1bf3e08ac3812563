package signin

import (
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Bounds of sign-ins that are kept, ended ones included. A hospital's machines
// may all come from one address, ten a second at the change of a shift, each of
// which takes a minute or two: what holds a flood is the bound of a node.
const (
	maxInAll      = 8192
	maxPerAddress = 4096
	maxPerNode    = 128
	// maxPerSeat bounds those of one account of a machine, or of all that come from one
	// that does not tell its people apart.
	maxPerSeat = 16
	// Device grants hold their places: pages are to have some.
	maxGrants        = 64 // of a node
	maxGrantsPerSeat = 8
	// patience is how long an address's or the desk's sign-ins that nobody has
	// opened hold their place against new ones, and a device grant for which its
	// node has ceased to ask.
	patience = time.Minute
	// linger is how long after its end a sign-in still tells what became of it.
	linger = 2 * time.Minute
)

// book holds the sign-ins under way. Who uses it holds the desk's lock.
type book struct {
	logins           *pool // at nodes, by address
	joins, operators *lobby
	ids              map[digest]*signin
	states           map[digest]*signin // by the state of the attempt; at most one each
	nodes            map[string][]*signin
	forget           func(who registry.Identity)
}

func newBook(forget func(who registry.Identity)) *book {
	return &book{forget: forget, ids: map[digest]*signin{}, states: map[digest]*signin{}, nodes: map[string][]*signin{},
		logins: newPool(bounds{maxInAll, maxPerAddress}), joins: newLobby(), operators: newLobby()}
}

// lobby gives where a sign-in from outside of the mesh is kept; nil: it is a node's.
func (b *book) lobby(s *signin) *lobby {
	switch {
	case s.machine != nil:
		return b.joins
	case s.operator:
		return b.operators
	}
	return nil
}

// neighbourhood is what counts as one address: in IPv6 a whole /64 is one host's.
func neighbourhood(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of no address: the zero prefix, which is one neighbourhood too
	return p
}

// add takes a sign-in in, if there is room for it or room can be made. Nothing
// has to go for one that is refused.
func (b *book) add(now time.Time, s *signin) error {
	leaving, err := b.take(now, s)
	if err != nil {
		return err
	}
	for _, victim := range leaving {
		b.evict(victim, "a newer sign-in has taken the place of this one, which nobody opened")
	}
	b.ids[digestOf(s.id)] = s
	return nil
}

func (b *book) take(now time.Time, s *signin) (leaving []*signin, err error) {
	if l := b.lobby(s); l != nil {
		if leaves := l.await(s); leaves != nil {
			leaving = append(leaving, leaves)
		}
		return leaving, nil
	}
	if leaving, err = b.leaving(now, s); err == nil {
		b.nodes[s.node] = append(b.nodes[s.node], s)
		b.logins.add(s, neighbourhood(s.from).String())
	}
	return leaving, err
}

// leaving gives what must go for a node's new sign-in.
func (b *book) leaving(now time.Time, s *signin) (leaving []*signin, err error) {
	pool, seat := b.logins, b.ofSeat(s.node, s.asked.Seat)
	bounds := []bound{{seat, maxPerSeat, 0}, {b.nodes[s.node], maxPerNode, patience},
		{pool.of[neighbourhood(s.from).String()], pool.perHolder, patience}, {pool.all, pool.inAll, patience}}
	if s.asked.DeviceCode {
		bounds = append(bounds, bound{grants(seat), maxGrantsPerSeat, patience}, bound{grants(b.nodes[s.node]), maxGrants, patience})
	}
	for _, limit := range bounds {
		if len(limit.those) < limit.most || slices.ContainsFunc(leaving, func(s *signin) bool { return slices.Contains(limit.those, s) }) {
			continue
		}
		victim := limit.victim(now)
		if victim == nil {
			return nil, ErrBusy
		}
		leaving = append(leaving, victim)
	}
	return leaving, nil
}

func (b *book) evict(victim *signin, why string) {
	victim.conclude(Outcome{State: Refused, Reason: why})
	b.remove(victim)
}

// ofSeat gives the sign-ins that one seat of a node opened.
func (b *book) ofSeat(node, seat string) []*signin {
	return those(b.nodes[node], func(s *signin) bool { return s.asked.Seat == seat })
}

// grants gives the device grants among sign-ins.
func grants(all []*signin) []*signin {
	return those(all, func(s *signin) bool { return s.asked.DeviceCode })
}

func those(all []*signin, are func(*signin) bool) (found []*signin) {
	for _, s := range all {
		if are(s) {
			found = append(found, s)
		}
	}
	return found
}

// bound says how many sign-ins may be, and for how long one that no browser
// opened holds its place.
type bound struct {
	those   []*signin
	most    int
	patient time.Duration
}

// victim gives what makes place: what has ended goes first, then the oldest that
// no browser opened. A sign-in whose page somebody is at never has to go, nor a
// device grant for which somebody waits: its person is at a page of the provider's,
// and another user of that machine could else take the place by asking often.
func (l *bound) victim(now time.Time) (victim *signin) {
	for _, s := range l.those {
		if s.mayGo(now, l.patient) && (victim == nil || s.before(victim)) {
			victim = s
		}
	}
	return victim
}

func (s *signin) mayGo(now time.Time, patient time.Duration) bool {
	since := s.since
	if s.asked.DeviceCode {
		since, patient = s.wanted, patience
	}
	stage := s.stage(now)
	return stage == ended && !s.awaited() || stage == expired || stage == opened && now.Sub(since) >= patient
}

// before tells which of two goes first.
func (s *signin) before(o *signin) bool {
	if done := s.phase == ended; done != (o.phase == ended) {
		return done
	}
	return s.since.Before(o.since)
}

func (b *book) remove(s *signin) {
	b.forget(s.give()) // that no program fetched
	delete(b.ids, digestOf(s.id))
	delete(b.states, digestOf(s.attempt.State))
	s.pool.remove(s)
	if l := b.lobby(s); l != nil {
		l.all = without(l.all, s)
	} else {
		drop(b.nodes, s.node, s)
	}
}

// sweep removes what nobody will ask about any more. None of them waits for
// anything: checkLimit is shorter than linger.
func (b *book) sweep(now time.Time) {
	for _, byAge := range []*[]*signin{&b.logins.all, &b.joins.all, &b.operators.all} {
		for len(*byAge) > 0 && !now.Before((*byAge)[0].since.Add(Life+linger)) {
			b.remove((*byAge)[0])
		}
	}
}

// byID gives the sign-in of that id, nil if there is none.
func (b *book) byID(now time.Time, id string) *signin {
	b.sweep(now)
	return b.ids[digestOf(id)]
}

// byState gives the sign-in whose latest attempt has that state, nil if there is none.
func (b *book) byState(state string) *signin { return b.states[digestOf(state)] }

// depart leads to the provider with a new attempt. One before it is worthless
// from here on.
func (b *book) depart(s *signin, a Attempt) {
	delete(b.states, digestOf(s.attempt.State))
	s.phase, s.attempt, s.local.way = away, a, unchosen
	s.goOn(a.Begun)
	b.states[digestOf(a.State)] = s
}
