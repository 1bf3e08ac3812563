package registry

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The words of roles and scopes that mean something here; all others are names
// whose meaning Config.RoleScopes and the edges know.
const (
	OwnerRole  = "owner"  // of which one holder is kept
	tokenScope = "tokens" // without which nobody hands out enrolment

	peopleScope = "people" // without which nobody gives links to set up
)

// RolesOf gives the roles of the person with an id, sorted, whether or not
// somebody shut them out.
func (s *State) RolesOf(user string) []string {
	roles, _ := s.roles.Get(user)
	return roles
}

// Holders gives who has a role, by login, also those who are shut out.
func (s *State) Holders(role string) (all []*User) {
	for id, roles := range s.roles.All() {
		if u, ok := s.User(id); ok && slices.Contains(roles, role) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b *User) int { return cmp.Or(strings.Compare(a.Login, b.Login), strings.Compare(a.ID, b.ID)) })
	return all
}

// HoldersOut gives the ids of those who have a role and are shut out, sorted.
func (s *State) HoldersOut() (ids []string) {
	for id := range s.roles.All() {
		if s.out(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// lastOwner tells whether nobody else who may come is an owner.
func (s *State) lastOwner(u *User) bool {
	if u.ShutOut() || !slices.Contains(s.RolesOf(u.ID), OwnerRole) {
		return false
	}
	other := func(o *User) bool { return o.ID != u.ID && !o.ShutOut() }
	return !slices.ContainsFunc(s.Holders(OwnerRole), other)
}

// Ownerless tells whether there are owners, none of whom may come: all are shut out.
func (s *State) Ownerless() bool {
	all := s.Holders(OwnerRole)
	return len(all) > 0 && !slices.ContainsFunc(all, func(u *User) bool { return !u.ShutOut() })
}

// Adrift gives since when the provider stands by no owner who may come; zero: it stands
// by one, or there is none.
func (s *State) Adrift() (since time.Time) {
	for _, u := range s.Holders(OwnerRole) {
		switch {
		case u.ShutOut():
		case u.Disowned.IsZero():
			return time.Time{}
		case u.Disowned.After(since):
			since = u.Disowned
		}
	}
	return since
}

// TokenScopes gives what whoever holds a token may do at the admin API in this
// state, by what a role allows (Config.RoleScopes). A person's admin session may
// what the person's roles allow now, and nothing once they are shut out.
func (s *State) TokenScopes(t *Token, ofRole func(role string) []string) (scopes []string) {
	switch {
	case t == nil || t.Kind != AdminToken:
		return nil
	case t.Holder != "":
		if u, ok := s.User(t.Holder); !ok || u.ShutOut() {
			return nil
		}
		return s.scopesOf(t.Holder, ofRole)
	case t.Role != "":
		return ofRole(t.Role)
	}
	return t.Scopes
}

// scopesOf gives what a person's roles allow.
func (s *State) scopesOf(user string, ofRole func(role string) []string) (scopes []string) {
	for _, role := range s.RolesOf(user) {
		scopes = append(scopes, ofRole(role)...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// putRoles gives a person exactly these roles.
func (s *State) putRoles(user string, roles []string) {
	s.keepGrants(user, roles)
	if len(roles) == 0 {
		s.roles = s.roles.Without(user)
		return
	}
	s.roles = s.roles.With(user, roles)
}

// rolesWords gives the roles of everybody, as a checkpoint has them.
func (s *State) rolesWords() map[string][]string {
	all := make(map[string][]string)
	for id, roles := range s.roles.All() {
		all[id] = roles
	}
	return all
}

// RoleGranted gives a person a role. By and Granter are as Grant has them; events from
// before they were kept have neither.
type RoleGranted struct {
	User    string `json:"user"` // id
	Role    string `json:"role"`
	By      Actor  `json:"by,omitempty"`
	Granter string `json:"granter,omitempty"`
}

// RoleRevoked takes a role from a person.
type RoleRevoked struct {
	User string `json:"user"` // id
	Role string `json:"role"`
}

func (RoleGranted) kind() string { return "role-granted" }
func (RoleRevoked) kind() string { return "role-revoked" }

func (v RoleGranted) apply(s *State, e Entry) {
	roles := append(slices.Clone(s.RolesOf(v.User)), v.Role)
	slices.Sort(roles)
	s.putRoles(v.User, slices.Compact(roles))
	if v.By != "" {
		s.putGrant(Grant{User: v.User, Role: v.Role, By: v.By, Granter: v.Granter, At: e.Time})
	}
}

func (v RoleRevoked) apply(s *State, _ Entry) {
	s.putRoles(v.User, slices.DeleteFunc(slices.Clone(s.RolesOf(v.User)), func(r string) bool { return r == v.Role }))
}
