package registry

import (
	"fmt"
	"slices"
)

// Apply gives the state after an entry. It is pure, and it can't fail: what an
// event says has happened.
func Apply(s *State, e Entry) *State {
	next := *s
	next.Revision = e.Revision
	e.Event.apply(&next, e)
	return &next
}

// follow applies entries that must continue s without a gap.
func follow(s *State, entries []Entry) (*State, error) {
	for _, e := range entries {
		if e.Revision != s.Revision+1 {
			return nil, fmt.Errorf("%w: event %d follows revision %d: entries are missing; restore a backup",
				ErrFailed, e.Revision, s.Revision)
		}
		s = Apply(s, e)
	}
	return s, nil
}

func (v Initialised) apply(s *State, _ Entry) {
	s.Mesh, s.Domain, s.IPv4, s.IPv6, s.Incarnation = v.Mesh, v.Domain, v.IPv4, v.IPv6, 1
}

func (v NodeEnrolled) apply(s *State, _ Entry) {
	s.putNode(&v.Node)
	s.IPv4, s.IPv6 = v.IPv4, v.IPv6
	if t, ok := s.tokens.Get(v.Node.Token); ok {
		spent := *t
		spent.UsesLeft -= min(spent.UsesLeft, 1)
		s.putToken(&spent)
	}
}

// apply ends the sessions at a machine that is another's from now on: who sat there
// did not sign in at that.
func (v NodeChanged) apply(s *State, _ Entry) {
	if old, ok := s.nodes.Get(v.Node.ID); ok && old.Owner() != v.Node.Owner() {
		s.keepSessions(v.Node.ID, func(*Session) bool { return false })
	}
	s.putNode(&v.Node)
}

func (v NodeRemoved) apply(s *State, _ Entry) { revoke(s, v.Revocation) }

func (v RevocationTaken) apply(s *State, _ Entry) { revoke(s, v.Revocation) }

func revoke(s *State, r Revocation) {
	if n, ok := s.NodeByKey(r.Key); ok {
		s.dropNode(n)
		s.keepSessions(n.ID, func(*Session) bool { return false })
		s.resting = s.resting.Without(n.ID)
	}
	s.putRevocation(r)
}

func (v TokenCreated) apply(s *State, _ Entry) { s.putToken(&v.Token) }

func (v TokenRevoked) apply(s *State, _ Entry) {
	if t, ok := s.tokens.Get(v.ID); ok {
		ended := *t
		ended.Revoked = true
		s.putToken(&ended)
	}
}

func (v UserPut) apply(s *State, _ Entry) { s.putUser(&v.User) }

func (v UserForgotten) apply(s *State, _ Entry) {
	if u, ok := s.users.Get(v.ID); ok {
		s.dropUser(u)
		s.putRoles(u.ID, nil)
		s.dropLocal(u.ID)
	}
}

func (v SessionsEnded) apply(s *State, _ Entry) {
	s.keepSessions(v.Node, func(one *Session) bool { return !slices.Contains(v.Sessions, one.ID) })
}

func (v SignInRequired) apply(s *State, _ Entry) { s.SignIn, s.signInSaid = v.Required, true }

func (v PolicySet) apply(s *State, e Entry) {
	next := &PolicyVersion{Revision: e.Revision, File: v.File, Text: v.Text, Author: v.Author, Time: e.Time, Until: v.Until, Reverts: v.Reverts}
	if v.parsed != nil {
		next.parse.Do(func() { next.pol = v.parsed })
	}
	kept := s.policies[max(0, len(s.policies)-maxPolicies+1):]
	s.policies = append(slices.Clip(slices.Clone(kept)), next)
}

func (v PolicyConfirmed) apply(s *State, _ Entry) {
	if current := s.Policy(); current != nil {
		s.policies = append(slices.Clone(s.policies[:len(s.policies)-1]), current.confirmedBy(v.By))
	}
}

func (v IncarnationBegun) apply(s *State, e Entry) {
	s.restAnew(e.Time)
	s.Incarnation, s.IPv4, s.IPv6 = v.Incarnation, v.IPv4, v.IPv6
}
