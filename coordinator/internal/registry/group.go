package registry

import (
	"slices"
	"strings"
	"time"
)

// Group is a group that a directory provisions (RFC 7643 section 4.2). Who is in it
// stands with the people. It is never changed once it is in a State.
type Group struct {
	ID       string    `json:"id"`
	External string    `json:"external,omitempty"`
	Name     string    `json:"name"` // the policy calls it idp:NAME
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
	By       string    `json:"by,omitempty"` // id of the token by which this was said last; empty: not known
}

// groupKey gives what no two groups may share: names that differ by case alone
// would be one group to some readers, and two to others.
func groupKey(name string) string { return strings.ToLower(name) }

// Group gives the group with an id.
func (s *State) Group(id string) (*Group, bool) { return s.groups.Get(id) }

// SortedGroups gives every group, by its id.
func (s *State) SortedGroups() []*Group {
	return slices.SortedFunc(s.groups.Values(), func(a, b *Group) int { return strings.Compare(a.ID, b.ID) })
}

// Members gives the records of whoever is in a group, by id. It looks at all people.
func (s *State) Members(group string) (records []string) {
	for u := range s.Users() {
		if u.Provision != nil && slices.Contains(u.Provision.Groups, group) {
			records = append(records, u.Provision.ID)
		}
	}
	slices.Sort(records)
	return records
}

func (s *State) putGroup(g *Group) {
	if old, ok := s.groups.Get(g.ID); ok {
		s.groupNames = s.groupNames.Without(groupKey(old.Name))
	}
	s.groups = s.groups.With(g.ID, g)
	s.groupNames = s.groupNames.With(groupKey(g.Name), g.ID)
}

func (s *State) dropGroup(id string) {
	if old, ok := s.groups.Get(id); ok {
		s.groupNames = s.groupNames.Without(groupKey(old.Name))
		s.groups = s.groups.Without(id)
	}
}

func (v GroupPut) apply(s *State, _ Entry) { s.putGroup(&v.Group) }

func (v GroupDropped) apply(s *State, _ Entry) { s.dropGroup(v.ID) }
