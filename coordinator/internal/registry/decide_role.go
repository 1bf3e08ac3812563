package registry

import (
	"fmt"
	"slices"
	"strings"
)

// GrantRole gives a role to a person who signed in once, known by id or login. Who
// lacks something of what the role allows cannot give it (ErrForbidden), nor can a
// token: it has an end, and may be stolen, and the role would stay. Who has it already by
// somebody who could grant it no more, or nobody knows by whom, has it from the actor now:
// of another, for nobody stands by themselves.
type GrantRole struct{ User, Role string }

// RevokeRole takes a role from a person, and with it the tokens that they made and
// could make no more. The last owner who may come stays (ErrLastOwner), unless an
// operator at the coordinator, who remains, says LastOwner. What they granted and could
// grant no more is in Result.Granted; WithGrants takes it too (Result.Withdrawn).
type RevokeRole struct {
	User, Role string
	LastOwner  bool
	WithGrants bool
}

func (c GrantRole) decide(d *decision) error {
	u, err := d.roleHolder(c.User, c.Role)
	if err != nil {
		return err
	}
	switch {
	case u.Issuer == "":
		return fmt.Errorf("role %s for %s: %w: a role is a person's, and nobody has signed in by that login yet", c.Role, u.Login, ErrUser)
	case u.ShutOut():
		return fmt.Errorf("role %s for %s: %w: they are disabled", c.Role, u.Login, ErrUser)
	}
	if err := d.mustHold(d.roleScopes(c.Role), "role.grant", u.ID, "give the role "+c.Role); err != nil {
		return err
	}
	if strings.HasPrefix(string(d.actor), string(TokenActor(""))) {
		return d.refuse("role.grant.refuse", u.ID, fmt.Errorf("role %s for %s: %w: a person gives it who may (`cordonctl login`), or an operator at the coordinator, and no token", c.Role, u.Login, ErrForbidden))
	}
	if !slices.Contains(d.state.RolesOf(u.ID), c.Role) || d.granter() != u.ID && d.doubtful(u.ID, c.Role) {
		d.emit(RoleGranted{User: u.ID, Role: c.Role, By: d.actor, Granter: d.granter()})
		d.record("role.grant", u.ID, "%s, login %s: has the roles %v, and may %v", c.Role, u.Login, d.state.RolesOf(u.ID), d.state.scopesOf(u.ID, d.roleScopes))
	}
	d.result.User = u
	return nil
}

func (c RevokeRole) decide(d *decision) error {
	u, err := d.roleHolder(c.User, c.Role)
	if err != nil {
		return err
	}
	if err := d.mustHold(d.roleScopes(c.Role), "role.revoke", u.ID, "take the role "+c.Role); err != nil {
		return err
	}
	d.result.User = u
	if !slices.Contains(d.state.RolesOf(u.ID), c.Role) {
		return d.settleGrants(u, c.WithGrants, c.LastOwner)
	}
	if c.Role == OwnerRole {
		if err := d.spareOwner(u, c.LastOwner, "role.revoke"); err != nil {
			return err
		}
	}
	d.takeRole(u, c.Role, "")
	return d.settleGrants(u, c.WithGrants, c.LastOwner)
}

// doubtful tells whether nobody stands by a role that somebody has.
func (d *decision) doubtful(user, role string) bool {
	g, known := d.state.GrantOf(user, role)
	return !known || d.state.Doubt(g, d.roleScopes) != ""
}

// roleHolder finds the person, and checks that there is such a role.
func (d *decision) roleHolder(user, role string) (*User, error) {
	if len(d.roleScopes(role)) == 0 {
		return nil, invalid("role", role, "one of those that are listed")
	}
	u, known := d.state.FindUser(user)
	if !known {
		return nil, fmt.Errorf("user %q: %w: whoever has a role has signed in once; list the users for their logins", shorten(user), ErrNotFound)
	}
	return u, nil
}

// spareOwner refuses what would leave the mesh without an owner. Root at the
// coordinator is one in effect, and may: else nobody could shut out a thief who
// works in the name of the only owner.
func (d *decision) spareOwner(u *User, sure bool, action string) error {
	if !d.state.lastOwner(u) || sure && d.operator() {
		return nil
	}
	return d.refuse(action+".refuse", u.ID, fmt.Errorf("%s is %w: make another person owner first, or have an operator at the coordinator say --last-owner", u.Login, ErrLastOwner))
}

// operator tells whether the actor came by the coordinator's own socket.
func (d *decision) operator() bool { return strings.HasPrefix(string(d.actor), string(Operator(""))) }

// mustOutrank refuses to shut out, let in again or forget a person who may more
// than the actor: whoever could, would choose who has those rights.
func (d *decision) mustOutrank(u *User, action string) error {
	return d.mustHold(d.state.scopesOf(u.ID, d.roleScopes), action, u.ID, "do this to "+u.Login)
}

// bereave ends what a person made, and can make no more, who has no rights left:
// who is dismissed must not find the way back in by a token of their own.
func (d *decision) bereave(u *User, why string) {
	for _, t := range d.state.Tokens() {
		if t.Holder == u.ID && !t.Revoked {
			d.emit(TokenRevoked{ID: t.ID})
			d.record("token.revoke", t.ID, "admin session of %s: %s", u.Login, why)
		}
	}
	d.withdraw(u, nil, why)
}

// withdraw revokes the tokens that a person made, or that were made with those,
// that can do more than held, and closes the links that they could give no more.
func (d *decision) withdraw(u *User, held []string, why string) {
	for _, t := range d.state.Tokens() {
		needs := d.state.TokenScopes(t, d.roleScopes)
		if t.Kind == EnrolToken {
			needs = []string{tokenScope}
		}
		if t.Holder == "" && !t.Revoked && d.now.Before(t.Expires) && lacks(held, needs) != "" && t.Maker == u.ID {
			d.emit(TokenRevoked{ID: t.ID})
			d.record("token.revoke", t.ID, "%s", why)
			d.result.Revoked++
			d.voided(MadeToken, t.ID+" ("+string(t.Kind)+")", t.Created)
		}
	}
	if lacks(held, []string{peopleScope}) != "" {
		d.unlinkAll(why, func(l *SetupLink) bool { return l.Maker == u.ID })
	}
}
