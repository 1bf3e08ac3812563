package registry

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Session is one person, signed in at one node. It is never changed once it is in
// a State. One that has ended by time may stand there for long.
type Session struct {
	ID    string    `json:"id"`
	Node  string    `json:"node"`
	User  string    `json:"user"`  // id
	Login string    `json:"login"` // of the user, when the session began
	Begun time.Time `json:"begun"`

	// Seat is the account of the machine's operating system whose session it is, and
	// Addresses what it has of its own there, IPv4 then IPv6. Empty: it is the whole
	// machine's, as at a machine that does not tell its people apart.
	Seat      string       `json:"seat,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`

	// Known is until when peers that hear nothing may take Addresses for the person's by
	// what they were told before this session; zero: they were told nothing.
	Known time.Time `json:"known,omitzero"`

	Heard time.Time `json:"heard"` // when the last of Logins came
	Until time.Time `json:"until"` // exclusive

	Active time.Time     `json:"active,omitzero"` // when the person last did something, as the node tells; zero: not told
	Pause  time.Duration `json:"pause,omitempty"` // the longest without activity since Heard that ended before Active, in whole seconds

	// Logins are the proofs that were given, latest last: an older one may be
	// stronger than a later one.
	Logins []Login `json:"logins"`
}

// Login is one proof of who somebody is.
type Login struct {
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`         // it proves nothing from then on
	AMR   []string  `json:"amr,omitempty"` // sorted
	ACR   string    `json:"acr,omitempty"`
	SID   string    `json:"sid,omitempty"` // of the session at the provider
}

// maxLogins bounds how many proofs a session remembers.
const maxLogins = 8

// Live tells whether the session goes on at a time.
func (s *Session) Live(now time.Time) bool { return now.Before(s.Until) }

// Wire gives the session as its node is told of it.
func (s *Session) Wire() wire.Session {
	last := s.Logins[len(s.Logins)-1]
	return wire.Session{ID: s.ID, User: s.Login, At: last.At, Until: s.Until, AMR: last.AMR, ACR: last.ACR, Seat: s.Seat}
}

// SessionsAt gives the sessions at a node, by id.
func (s *State) SessionsAt(node string) []*Session {
	all, _ := s.sessions.Get(node)
	return all
}

// Sessions gives every session, in no order.
func (s *State) Sessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for all := range s.sessions.Values() {
			for _, one := range all {
				if !yield(one) {
					return
				}
			}
		}
	}
}

// SortedSessions gives every session, by login, then by node.
func (s *State) SortedSessions() []*Session {
	return slices.SortedFunc(s.Sessions(), func(a, b *Session) int {
		return cmp.Or(strings.Compare(a.Login, b.Login), strings.Compare(a.Node, b.Node), strings.Compare(a.ID, b.ID))
	})
}

// putSession adds a session, in the place of the same person's at that seat and of
// the one with its id.
func (s *State) putSession(one *Session) {
	all := s.keptAt(one.Node, func(o *Session) bool { return o.ID != one.ID && !o.sharesSeat(one) })
	s.wake(one)
	at, _ := slices.BinarySearchFunc(all, one, func(a, b *Session) int { return strings.Compare(a.ID, b.ID) })
	s.setSessions(one.Node, slices.Insert(all, at, one))
}

// keepSessions drops the sessions at a node that are not to be kept. Their addresses
// rest.
func (s *State) keepSessions(node string, keep func(*Session) bool) {
	if len(s.SessionsAt(node)) > 0 {
		s.setSessions(node, s.keptAt(node, keep))
	}
}

// setSessions gives a node its sessions, and notes who sits there.
func (s *State) setSessions(node string, all []*Session) {
	before := s.SessionsAt(node)
	if s.sessions = s.sessions.With(node, all); len(all) == 0 {
		s.sessions = s.sessions.Without(node)
	}
	for _, one := range before {
		at, _ := s.sitting.Get(one.User)
		if at = slices.DeleteFunc(slices.Clone(at), func(id string) bool { return id == node }); len(at) > 0 {
			s.sitting = s.sitting.With(one.User, at)
		} else {
			s.sitting = s.sitting.Without(one.User)
		}
	}
	for _, one := range all {
		if at, _ := s.sitting.Get(one.User); !slices.Contains(at, node) {
			s.sitting = s.sitting.With(one.User, append(slices.Clip(at), node))
		}
	}
}

func (s *State) keptAt(node string, keep func(*Session) bool) (kept []*Session) {
	for _, one := range s.SessionsAt(node) {
		if keep(one) {
			kept = append(kept, one)
		} else {
			s.rest(one)
		}
	}
	return kept
}
