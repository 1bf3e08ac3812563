package registry

import (
	"iter"
	"slices"
	"strings"
)

// putOwned moves a node that was and that is to who owns it now. Either may be nil.
func (s *State) putOwned(was, is *Node) {
	from, to := ownerKey(was), ownerKey(is)
	if from == to {
		return
	}
	if from != "" {
		ids, _ := s.byOwner.Get(from)
		if ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == was.ID }); len(ids) > 0 {
			s.byOwner = s.byOwner.With(from, ids)
		} else {
			s.byOwner = s.byOwner.Without(from)
		}
	}
	if to != "" {
		ids, _ := s.byOwner.Get(to)
		s.byOwner = s.byOwner.With(to, append(slices.Clip(ids), is.ID))
	}
}

func ownerKey(n *Node) string {
	if n == nil {
		return ""
	}
	return strings.ToLower(n.Owner())
}

// owned gives the nodes that a person owns, by whichever of their logins.
func (s *State) owned(u *User) iter.Seq[*Node] {
	logins := u.logins()
	if u.Provision != nil && !u.called(u.Provision.Login) {
		logins = append(logins, u.Provision.Login)
	}
	return func(yield func(*Node) bool) {
		for _, login := range logins {
			ids, _ := s.byOwner.Get(strings.ToLower(login))
			for _, id := range ids {
				n, _ := s.nodes.Get(id)
				if h, _ := s.holder(n.Owner()); h != nil && h.ID == u.ID && !yield(n) {
					return
				}
			}
		}
	}
}

// MachinesOf gives the ids of the nodes that some people, by id, own or sit at, some
// of them twice.
func (s *State) MachinesOf(people map[string]bool) (ids []string) {
	for id := range people {
		if u, ok := s.users.Get(id); ok {
			for n := range s.owned(u) {
				ids = append(ids, n.ID)
			}
		}
		at, _ := s.sitting.Get(id)
		ids = append(ids, at...)
	}
	return ids
}
