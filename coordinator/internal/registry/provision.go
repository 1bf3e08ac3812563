package registry

import (
	"slices"
	"strings"
	"time"
)

// Provision is what a directory says of a person by SCIM (RFC 7643 section 4.1). It
// is never changed once it is in a State.
type Provision struct {
	ID       string `json:"id"`                 // of the record, for life
	External string `json:"external,omitempty"` // what the directory calls the person
	UserName string `json:"userName"`           // as the directory spells it
	Email    string `json:"email,omitempty"`
	Login    string `json:"login"` // which of the two is a login, in lower case

	Active  bool      `json:"active,omitempty"`
	Deleted bool      `json:"deleted,omitempty"` // it is kept, so that whoever it shut out stays shut out
	Changed time.Time `json:"changed"`

	Groups  []string `json:"groups,omitempty"`  // ids, sorted
	Claimed []string `json:"claimed,omitempty"` // groups of which the person's own token spoke, as User has them

	By string `json:"by,omitempty"` // id of the token by which this was said last; empty: not known
}

func (p *Provision) equal(o *Provision) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.ID == o.ID && p.External == o.External && p.UserName == o.UserName && p.Email == o.Email && p.Login == o.Login &&
		p.Active == o.Active && p.Deleted == o.Deleted && slices.Equal(p.Groups, o.Groups) && slices.Equal(p.Claimed, o.Claimed)
}

// ShutOut tells whether an admin or the directory shut the person out.
func (u *User) ShutOut() bool { return u.Disabled || u.Provision != nil && !u.Provision.Active }

// whoShut says who did.
func (u *User) whoShut() string {
	if u.Disabled {
		return "an admin disabled " + u.Login
	}
	return "the directory disabled " + u.Login
}

// claimed gives the groups of which the person's token spoke.
func (u *User) claimed() []string {
	if u.Provision != nil {
		return u.Provision.Claimed
	}
	return u.Groups
}

// with gives the person with what the directory says of them. A group that the
// directory provisions is the directory's alone to give: a token of this morning must
// not give back what it took at noon.
func (s *State) with(u User, p Provision) User {
	p.Claimed, u.Provision = u.claimed(), &p
	u.Groups = nil
	for _, id := range p.Groups {
		if g, ok := s.groups.Get(id); ok {
			u.Groups = append(u.Groups, "idp:"+g.Name)
		}
	}
	for _, group := range p.Claimed {
		if _, provisioned := s.groupNames.Get(groupKey(strings.TrimPrefix(group, "idp:"))); !provisioned {
			u.Groups = append(u.Groups, group)
		}
	}
	slices.Sort(u.Groups)
	u.Groups = slices.Compact(u.Groups)
	return u
}

// Provisioned gives the person whom a record is about; one that was deleted is none.
func (s *State) Provisioned(record string) (*User, bool) {
	u, ok := s.recorded(record)
	return u, ok && !u.Provision.Deleted
}

func (s *State) recorded(record string) (*User, bool) {
	id, ok := s.records.Get(record)
	if !ok {
		return nil, false
	}
	return s.users.Get(id)
}

// ProvisionedUsers gives everybody of whom the directory has a record, by its id. It
// looks at all people.
func (s *State) ProvisionedUsers() (all []*User) {
	for u := range s.Users() {
		if u.Provision != nil && !u.Provision.Deleted {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b *User) int { return strings.Compare(a.Provision.ID, b.Provision.ID) })
	return all
}

// external gives the person whom the directory calls so, or who proved to be called so.
func (s *State) external(name string) (*User, bool) {
	id, ok := s.byExternal.Get(name)
	if !ok || name == "" {
		return nil, false
	}
	return s.users.Get(id)
}

// holder gives the person whose a login is: by their own proof, else by the
// directory's word.
func (s *State) holder(login string) (*User, bool) {
	if u, ok := s.UserByLogin(login); ok {
		return u, true
	}
	id, ok := s.reserved.Get(strings.ToLower(login))
	if !ok {
		return nil, false
	}
	return s.users.Get(id)
}

// answers tells whether a login is the person's by either word.
func (u *User) answers(login string) bool {
	return u.called(login) || u.Provision != nil && u.Provision.Login == strings.ToLower(login)
}

func (s *State) putProvision(u *User) {
	if u.External != "" {
		s.byExternal = s.byExternal.With(u.External, u.ID)
	}
	if p := u.Provision; p != nil {
		s.records = s.records.With(p.ID, u.ID)
		s.reserved = s.reserved.With(p.Login, u.ID)
		if p.External != "" {
			s.byExternal = s.byExternal.With(p.External, u.ID)
		}
	}
}

func (s *State) dropProvision(u *User) {
	s.byExternal = s.byExternal.Without(u.External)
	if p := u.Provision; p != nil {
		s.records = s.records.Without(p.ID)
		s.reserved = s.reserved.Without(p.Login)
		s.byExternal = s.byExternal.Without(p.External)
	}
}
