package registry

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxSeats bounds how many people sit at one machine at a time.
const MaxSeats = 64

// MaxOwnSeats bounds how many of these one person has: who may use many accounts there,
// as by sub-ids of their own, would else leave none to others.
const MaxOwnSeats = 4

// restMargin is by how much a peer's clock may be behind ours: to it a session still
// stands, whose time is over here.
const restMargin = time.Minute

// Rest is the addresses of a seat that nobody has now. They stay with their machine,
// as its own do, and wait there for whoever sits down next.
type Rest struct {
	Node      string       `json:"node"`
	Addresses []netip.Addr `json:"addresses"` // IPv4, then IPv6
	User      string       `json:"user"`      // id of who had them; empty: not known

	// Until then, and restMargin more, nobody else gets them: a peer that hears nothing
	// from here takes whoever has them for User, as long as what it was told of User holds.
	Until time.Time `json:"until"`
}

// CheckSeat tells whether somebody can have a seat of their own at a machine, by the
// account of its operating system: a user number, as Unix writes it. It fails with
// ErrInvalid or ErrUser.
func CheckSeat(n *Node, seat string) error {
	if err := checkSeat(seat); err != nil {
		return err
	}
	if owner := n.Owner(); owner != "" && seat != "" {
		return fmt.Errorf("%w: %s is %s's machine; people have seats of their own at machines with tags alone", ErrUser, n.Name, owner)
	}
	return nil
}

// checkSeat takes a number in one spelling only: a second one would be a second seat
// of one account. The greatest means no account, and 0 is whoever administers.
func checkSeat(seat string) error {
	number, err := strconv.ParseUint(seat, 10, 32)
	switch {
	case seat == "":
		return nil
	case seat == "0":
		return fmt.Errorf("seat 0: %w: the administrator's account is everybody's who administers: sign in with an account of your own", ErrInvalid)
	case err != nil || number == 1<<32-1 || strconv.FormatUint(number, 10) != seat:
		return invalid("seat", seat, "the number of an account, such as 1000")
	}
	return nil
}

// sharesSeat tells whether two sessions are one person's at one seat: one of them
// takes the other's place.
func (s *Session) sharesSeat(o *Session) bool { return s.User == o.User && s.Seat == o.Seat }

// known gives until when a peer that hears nothing may take a session's addresses for
// its person's: all that it proves has ended, and what was told before it.
func (s *Session) known() time.Time {
	if s.Known.After(s.Until) {
		return s.Known
	}
	return s.Until
}

// rest lays the addresses of a session that is no more aside.
func (s *State) rest(one *Session) {
	if len(one.Addresses) > 0 {
		s.putRest(&Rest{Node: one.Node, Addresses: one.Addresses, User: one.User, Until: one.known()})
	}
}

func (s *State) putRest(r *Rest) {
	all, _ := s.resting.Get(r.Node)
	at, _ := slices.BinarySearchFunc(all, r, compareRests)
	s.resting = s.resting.With(r.Node, slices.Insert(slices.Clone(all), at, r))
}

func compareRests(a, b *Rest) int {
	return cmp.Or(strings.Compare(a.Node, b.Node), slices.CompareFunc(a.Addresses, b.Addresses, netip.Addr.Compare))
}

// wake takes addresses that a session has from those that nobody has.
func (s *State) wake(one *Session) {
	all, _ := s.resting.Get(one.Node)
	left := slices.DeleteFunc(slices.Clone(all), func(r *Rest) bool { return slices.Equal(r.Addresses, one.Addresses) })
	switch {
	case len(left) == len(all):
	case len(left) == 0:
		s.resting = s.resting.Without(one.Node)
	default:
		s.resting = s.resting.With(one.Node, left)
	}
}

// rested gives addresses at a node that a person may have now: their own, or those
// that have rested for longest. nil: there are none.
func (s *State) rested(node, user string, now time.Time) (found *Rest) {
	all, _ := s.resting.Get(node)
	for _, r := range all {
		switch {
		case r.User == user:
			return r
		case now.Before(r.Until.Add(restMargin)):
		case found == nil || r.Until.Before(found.Until):
			found = r
		}
	}
	return found
}

// restAnew has all that rests do so for as long as anything could hold that was told
// since a backup was made: whoever got those addresses since is not in it. That may be
// somebody else than who had them before, so they wait for nobody. Whose session goes on
// has kept its addresses, maybe by a later proof for longer than the backup knows.
func (s *State) restAnew(now time.Time) {
	until := now.Add(MaxSessionLife)
	for _, one := range s.SortedSessions() {
		if len(one.Addresses) > 0 {
			again := *one
			again.Known = until
			s.putSession(&again)
		}
	}
	for _, r := range s.SortedRests() {
		again := *r
		again.User, again.Until = "", until
		s.wake(&Session{Node: r.Node, Addresses: r.Addresses})
		s.putRest(&again)
	}
}

// SortedRests gives all seats' addresses that nobody has, by node and address.
func (s *State) SortedRests() (all []*Rest) {
	for at := range s.resting.Values() {
		all = append(all, at...)
	}
	slices.SortFunc(all, compareRests)
	return all
}

// restoreRests puts back which addresses rest.
func (s *State) restoreRests(all []*Rest) error {
	for _, r := range all {
		if r == nil || len(r.Addresses) == 0 {
			return fmt.Errorf("nothing stands where addresses that rest should")
		}
		if _, known := s.Node(r.Node); !known {
			return fmt.Errorf("addresses %v rest at no node", r.Addresses)
		}
		s.putRest(r)
	}
	return nil
}
