package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Grant is how a person came to a role that they have.
type Grant struct {
	User    string    `json:"user"` // id
	Role    string    `json:"role"`
	By      Actor     `json:"by"`
	Granter string    `json:"granter,omitempty"` // id of the person; empty: an operator at the coordinator
	At      time.Time `json:"at"`
}

// GrantOf gives how a person came to a role. Of a role from before this was kept nobody
// knows.
func (s *State) GrantOf(user, role string) (Grant, bool) {
	all, _ := s.grants.Get(user)
	i := slices.IndexFunc(all, func(g Grant) bool { return g.Role == role })
	if i < 0 {
		return Grant{}, false
	}
	return all[i], true
}

// SortedGrants gives every grant of a role that is had, by person and role.
func (s *State) SortedGrants() (all []Grant) {
	for _, of := range s.grants.All() {
		all = append(all, of...)
	}
	slices.SortFunc(all, func(a, b Grant) int { return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.Role, b.Role)) })
	return all
}

// Doubt says why whoever granted a role could grant it no more, by what roles allow
// (Config.RoleScopes); nothing if they could. An operator at the coordinator always could.
func (s *State) Doubt(g Grant, ofRole func(role string) []string) string {
	if g.Granter == "" {
		return ""
	}
	u, known := s.User(g.Granter)
	switch {
	case !known:
		return "was forgotten"
	case u.ShutOut():
		return "is disabled"
	case lacks(s.scopesOf(u.ID, ofRole), ofRole(g.Role)) != "":
		return "has not that right any more"
	}
	return ""
}

func (s *State) putGrant(g Grant) {
	all, _ := s.grants.Get(g.User)
	all = slices.DeleteFunc(slices.Clone(all), func(o Grant) bool { return o.Role == g.Role })
	all = append(all, g)
	slices.SortFunc(all, func(a, b Grant) int { return strings.Compare(a.Role, b.Role) })
	s.grants = s.grants.With(g.User, all)
}

// keepGrants drops how a person came to roles that they have not any more.
func (s *State) keepGrants(user string, roles []string) {
	all, _ := s.grants.Get(user)
	kept := slices.DeleteFunc(slices.Clone(all), func(g Grant) bool { return !slices.Contains(roles, g.Role) })
	if len(kept) == 0 {
		s.grants = s.grants.Without(user)
		return
	}
	s.grants = s.grants.With(user, kept)
}

// restoreGrants puts back what a checkpoint has.
func (s *State) restoreGrants(all []Grant) error {
	for _, g := range all {
		if _, twice := s.GrantOf(g.User, g.Role); twice || !slices.Contains(s.RolesOf(g.User), g.Role) {
			return fmt.Errorf("the role %q of %q was granted twice, or is not had", g.Role, g.User)
		}
		s.putGrant(g)
	}
	return nil
}

// granter gives the id of the person in whose name the actor is; empty: none.
func (d *decision) granter() string { return d.state.inNameOf(d.actor) }

// grantsOf gives what a person granted that they could grant no more.
func (d *decision) grantsOf(u *User) (all []Grant) {
	for _, g := range d.state.SortedGrants() {
		if g.Granter == u.ID && d.state.Doubt(g, d.roleScopes) != "" {
			all = append(all, g)
		}
	}
	return all
}

// settleGrants answers what a person granted who lost the right to, and takes it if that
// is wished: with all that those granted in turn, and never from the actor, who would be
// gone in the middle of it.
func (d *decision) settleGrants(u *User, taking bool, lastOwner bool) error {
	for taking {
		i := slices.IndexFunc(d.grantsOf(u), func(g Grant) bool { return g.User != d.granter() })
		if i < 0 {
			break
		}
		if err := d.takeGrant(d.grantsOf(u)[i], u, lastOwner); err != nil {
			return err
		}
	}
	d.result.Granted = append(d.result.Granted, d.grantsOf(u)...)
	return nil
}

func (d *decision) takeGrant(g Grant, by *User, lastOwner bool) error {
	u, known := d.state.User(g.User)
	if !known {
		return fmt.Errorf("user %q: %w", g.User, ErrNotFound)
	}
	if err := d.mustHold(d.roleScopes(g.Role), "role.revoke", u.ID, "take the role "+g.Role+", which "+by.Login+" granted"); err != nil {
		return err
	}
	if g.Role == OwnerRole {
		if err := d.spareOwner(u, lastOwner, "role.revoke"); err != nil {
			return err
		}
	}
	d.takeRole(u, g.Role, ", which "+by.Login+" had granted")
	d.result.Withdrawn = append(d.result.Withdrawn, g)
	return d.settleGrants(u, true, lastOwner)
}

// takeRole takes a role, and the tokens that its holder made and could make no more.
func (d *decision) takeRole(u *User, role, why string) {
	d.emit(RoleRevoked{User: u.ID, Role: role})
	d.record("role.revoke", u.ID, "%s%s, login %s: has the roles %v, and may %v", role, why, u.Login, d.state.RolesOf(u.ID), d.state.scopesOf(u.ID, d.roleScopes))
	d.withdraw(u, d.state.scopesOf(u.ID, d.roleScopes), "its maker "+u.Login+" lost the role "+role)
}
