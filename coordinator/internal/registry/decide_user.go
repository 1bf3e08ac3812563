package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Bounds on what an issuer says of one person.
const (
	maxIssuer  = 512
	maxGroups  = 1000
	maxMethods = 32
	maxName    = 255 // of a person, a group, a method; in bytes
	maxFormer  = 16
)

// IsGroup tells whether a person can be in a group that an issuer calls so. One with
// signs that nobody sees would stand in a policy as if it were another.
func IsGroup(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, odd)
}

// check bounds what an issuer said: it is shown to people, and told to nodes.
func (w Identity) check() error {
	for _, text := range []string{w.Issuer, w.Subject, cmp.Or(w.External, w.Subject)} {
		if text == "" || len(text) > maxIssuer || strings.ContainsFunc(text, unicode.IsControl) {
			return invalid("issuer or subject", text, fmt.Sprintf("1 to %d bytes without control characters", maxIssuer))
		}
	}
	if w.Login != strings.ToLower(w.Login) {
		return invalid("login", w.Login, "lower case")
	}
	if err := checkUser(w.Login); err != nil {
		return err
	}
	if len(w.Groups) > maxGroups {
		return invalid("groups", fmt.Sprint(len(w.Groups)), fmt.Sprintf("at most %d of one person", maxGroups))
	}
	for _, group := range w.Groups {
		if !IsGroup(group) {
			return invalid("group", group, fmt.Sprintf("1 to %d bytes of printable UTF-8", maxName))
		}
	}
	if len(w.Name) > maxName || strings.ContainsFunc(w.Name, odd) {
		return invalid("name", w.Name, fmt.Sprintf("at most %d bytes of printable UTF-8", maxName))
	}
	for _, method := range append(slices.Clone(w.AMR), w.ACR, w.SID) {
		if len(method) > maxName || strings.ContainsFunc(method, odd) || strings.Contains(method, " ") || len(w.AMR) > maxMethods {
			return invalid("method or level of a login", method, fmt.Sprintf("at most %d words without blanks", maxMethods))
		}
	}
	return nil
}

// described gives the person whom an identity is, as it describes them.
func (d *decision) described(who Identity) *User {
	u := &User{ID: userID(who.Issuer, who.Subject), Issuer: who.Issuer, Subject: who.Subject, Login: who.Login, Name: who.Name, Created: d.now,
		External: who.External, Groups: policyGroups(who.Groups)}
	if known, ok := d.state.User(u.ID); ok {
		u.Created, u.Disabled, u.Enabled = known.Created, known.Disabled, known.Enabled
		u.Former = slices.DeleteFunc(known.logins(), func(l string) bool { return l == u.Login })
		u.External = cmp.Or(u.External, known.External)
		if known.Provision != nil {
			*u = d.state.with(*u, *known.Provision)
		}
	}
	return u
}

// recognise gives the person whom an identity is, as they are now. A login that is
// or was another person's stays theirs: whoever gets a leaver's address of mail must
// not get a leaver's rights.
func (d *decision) recognise(who Identity) (*User, error) {
	u := d.described(who)
	if known, ok := d.state.User(u.ID); ok && who.Heard.Before(known.Disowned) {
		return nil, fmt.Errorf("%w: the provider took back what it had proved of %s: sign in again", ErrUser, who.Login)
	}
	if err := d.adopt(u, who); err != nil {
		return nil, err
	}
	holder, taken := d.state.holder(who.Login)
	other := taken && holder.ID != u.ID && !(u.Provision != nil && holder.Provision != nil && holder.Provision.ID == u.Provision.ID)
	switch {
	case len(u.Former) > maxFormer:
		return nil, fmt.Errorf("%w: %s had %d other logins, at most %d are kept: an admin can have the person forgotten", ErrUser, who.Login, len(u.Former), maxFormer)
	case u.ShutOut():
		return nil, fmt.Errorf("%w: %s", ErrUser, u.whoShut())
	case taken && holder.ShutOut():
		return nil, fmt.Errorf("%w: %s", ErrUser, holder.whoShut())
	case other:
		return nil, fmt.Errorf("%w: the login is that of another person (%s, issuer %s): an admin must look who is who", ErrUser, holder.ID, holder.Issuer)
	}
	return u, nil
}

// groupPrefix stands before an issuer's group in the policy.
const groupPrefix = "idp:"

// policyGroups gives an issuer's groups as the policy writes them.
func policyGroups(groups []string) (all []string) {
	for _, group := range groups {
		all = append(all, groupPrefix+group)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (c DisableUser) decide(d *decision) error {
	login := strings.ToLower(c.User)
	u, known := d.state.FindUser(c.User)
	if !known {
		if err := checkUser(login); err != nil {
			return err
		}
		u = &User{ID: userID("", login), Login: login, Created: d.now}
	}
	if err := d.mustOutrank(u, "user.disable"); err != nil {
		return err
	}
	if u.Disabled {
		d.result.Made = d.state.MadeBy(u.ID)
	} else {
		if err := d.spareOwner(u, c.LastOwner, "user.disable"); err != nil {
			return err
		}
		next := *u
		next.Disabled = true
		d.emit(UserPut{User: next})
		d.record("user.disable", u.ID, "login %s", u.Login)
		d.evict(&next)
	}
	d.result.User, _ = d.state.User(u.ID)
	return d.settleGrants(u, c.WithGrants, c.LastOwner)
}

// evict ends what a person who was shut out has, and could yet have: sessions, and
// tokens in their name, the link by which they could set up, and what they made for
// others. Their machines have no peers from now on.
func (d *decision) evict(u *User) {
	if l, ok := d.state.Local(u.ID); ok {
		d.unlink(l, "the person was disabled")
	}
	d.endAll("the person was disabled", func(s *Session) bool { return s.User == u.ID })
	for _, t := range d.state.Tokens() {
		if (t.User != "" && u.answers(t.User) || u.made(t)) && !t.Revoked {
			d.emit(TokenRevoked{ID: t.ID})
			d.record("token.revoke", t.ID, "its user %s was disabled", u.Login)
		}
	}
	d.bereave(u, "the person was disabled")
	d.survey(u)
}

// made tells whether a person made a token by themselves.
func (u *User) made(t *Token) bool {
	login, ok := strings.CutPrefix(string(t.By), string(UserActor("")))
	return ok && u.answers(login)
}

func (c ForgetUser) decide(d *decision) error {
	u, known := d.state.FindUser(c.User)
	if !known {
		return fmt.Errorf("user %q: %w; list the users for their logins", shorten(c.User), ErrNotFound)
	}
	if u.ShutOut() {
		return fmt.Errorf("%s: %w: enable them first, for nobody keeps out whom the mesh forgot", u.Login, ErrInvalid)
	}
	if err := d.mustOutrank(u, "user.forget"); err != nil {
		return err
	}
	if err := d.spareOwner(u, c.LastOwner, "user.forget"); err != nil {
		return err
	}
	roles := d.state.RolesOf(u.ID)
	d.bereave(u, "the person was forgotten")
	d.survey(u)
	d.endAll("the person was forgotten", func(s *Session) bool { return s.User == u.ID })
	d.emit(UserForgotten{ID: u.ID})
	d.record("user.forget", u.ID, "logins %v, issuer %s, subject %s, roles %v", u.logins(), u.Issuer, u.Subject, roles)
	d.result.User = u
	return nil
}

func (c EnableUser) decide(d *decision) error {
	u, known := d.state.FindUser(c.User)
	if !known {
		return fmt.Errorf("user %q: %w; list the users for their logins", shorten(c.User), ErrNotFound)
	}
	d.result.User = u
	if !u.ShutOut() {
		return nil
	}
	if err := d.mustOutrank(u, "user.enable"); err != nil {
		return err
	}
	next := *u
	next.Disabled, next.Enabled = false, &Vouch{By: d.actor, At: d.now}
	if u.Provision != nil {
		p := *u.Provision
		p.Active, next.Provision = true, &p
	}
	if u.Issuer == "" && u.Provision == nil {
		d.emit(UserForgotten{ID: u.ID})
	} else {
		d.emit(UserPut{User: next})
	}
	d.record("user.enable", u.ID, "login %s", u.Login)
	d.result.User = &next
	return nil
}
