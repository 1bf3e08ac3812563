package registry

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const maxRecords = 200_000 // people of whom a directory has a record

func (c ProvisionUser) decide(d *decision) error {
	u, err := c.subject(d)
	if err != nil {
		return err
	}
	p := Provision{ID: c.ID, Active: true}
	if u.Provision != nil {
		p = *u.Provision
	}
	if c.New && p.Deleted {
		p.Deleted, p.Active = false, true
	}
	if err := c.fill(&p); err != nil {
		return err
	}
	if err := c.linked(u, &p); err != nil {
		return err
	}
	if u, err = c.whose(d, u, &p); err != nil {
		return err
	}
	d.provision(u, p, c.Name)
	return nil
}

// subject gives the person of the record as it is; for a new record it is nobody
// yet, or whom the directory deleted before.
func (c ProvisionUser) subject(d *decision) (*User, error) {
	u, known := d.state.Provisioned(c.ID)
	_, taken := d.state.records.Get(c.ID)
	switch {
	case !c.New && known:
		return u, nil
	case !c.New:
		return nil, fmt.Errorf("record %q: %w", shorten(c.ID), ErrNotFound)
	case !isID(c.ID):
		return nil, invalid("id of a record", c.ID, "1 to 64 letters, digits or '-'")
	case taken || c.UserName == nil:
		return nil, fmt.Errorf("record %q: %w: it is there, or has no userName", c.ID, ErrInvalid)
	case d.state.records.Len() >= maxRecords:
		return nil, fmt.Errorf("%d records: %w: more are not kept", maxRecords, ErrInvalid)
	}
	if c.External != nil {
		if u, ok := d.state.external(*c.External); ok && u.Provision != nil && u.Provision.Deleted {
			return u, nil
		}
	}
	if u, ok := d.state.holder(*c.UserName); ok && c.By.Login && u.Provision != nil && u.Provision.Deleted {
		return u, nil
	}
	return &User{ID: userID("scim", c.ID), Created: d.now}, nil
}

// fill gives the record what the command says, and finds its login.
func (c ProvisionUser) fill(p *Provision) error {
	set := func(at *string, v *string) {
		if v != nil {
			*at = *v
		}
	}
	set(&p.External, c.External)
	set(&p.UserName, c.UserName)
	set(&p.Email, c.Email)
	if c.Active != nil {
		p.Active = *c.Active
	}
	for _, text := range []string{p.External, p.UserName, p.Email} {
		if len(text) > maxName || strings.ContainsFunc(text, odd) {
			return invalid("externalId, userName or e-mail", text, fmt.Sprintf("at most %d bytes of printable UTF-8", maxName))
		}
	}
	if c.Name != nil && (len(*c.Name) > maxName || strings.ContainsFunc(*c.Name, odd)) {
		return invalid("name", *c.Name, fmt.Sprintf("at most %d bytes of printable UTF-8", maxName))
	}
	for _, login := range []string{p.UserName, p.Email} {
		if checkUser(login) == nil && !strings.ContainsFunc(login, func(r rune) bool { return r > unicode.MaxASCII }) {
			p.Login = strings.ToLower(login)
			return nil
		}
	}
	return invalid("userName", p.UserName, "a login such as ana@clinic.example, or an e-mail that is one")
}

// linked refuses to make a record of somebody who signed in one of somebody else.
func (c ProvisionUser) linked(u *User, p *Provision) error {
	if c.By.Login || u.Issuer == "" || u.Provision == nil || u.Provision.External == p.External {
		return nil
	}
	return fmt.Errorf("record %s: %w: its externalId is that of %s, who signed in, and is not changed: delete the record, and have an admin forget the person", p.ID, ErrExists, u.Login)
}

// whose gives the person whom the record is about from now on: who signed in and is
// the same by the rule, else whoever was shut out by the same login before they came,
// else u. That nobody else has the login keeps a stranger's record from it.
func (c ProvisionUser) whose(d *decision, u *User, p *Provision) (*User, error) {
	owner := u
	if u.Issuer == "" {
		if match, ok := d.state.match(c.By, p); ok {
			owner = match
		} else if holder, ok := d.state.UserByLogin(p.Login); ok && holder.Issuer == "" && holder.Provision == nil {
			owner = holder
		}
	}
	taken := func(other *User, ok bool) bool { return ok && other.ID != owner.ID && other.ID != u.ID }
	switch {
	case owner.Provision != nil && owner.Provision.ID != p.ID:
		return nil, fmt.Errorf("%s: %w: the directory has another record of the person (%s)", p.UserName, ErrExists, owner.Provision.ID)
	case taken(d.state.external(p.External)):
		return nil, fmt.Errorf("externalId %q: %w: it is another person's", p.External, ErrExists)
	case taken(d.state.holder(p.Login)):
		return nil, fmt.Errorf("login %s: %w: it is another person's, whom the configured rule does not tell to be the same: an admin must look who is who", p.Login, ErrExists)
	}
	if owner.ID != u.ID {
		if _, known := d.state.User(u.ID); known {
			d.emit(UserForgotten{ID: u.ID})
		}
	}
	return owner, nil
}

// provision puts a record at a person, and shuts them out if it says so.
func (d *decision) provision(u *User, p Provision, name *string) {
	p.Changed = d.now
	next := d.state.with(*u, p)
	if u.Issuer == "" {
		next.Login = p.Login
	}
	if name != nil && (u.Issuer == "" || *name != "") {
		next.Name = *name
	}
	if known, ok := d.state.User(u.ID); !ok || !known.equal(&next) {
		next.Provision.By, _ = tokenOf(d.actor)
		d.emit(UserPut{User: next})
		d.record("scim.user", next.ID, "record %s, userName %q, externalId %q, login %s, active %t, deleted %t",
			p.ID, p.UserName, p.External, p.Login, p.Active, p.Deleted)
	}
	if next.ShutOut() && !u.ShutOut() {
		d.evict(&next)
		d.mourn(&next)
	}
	d.result.User, _ = d.state.User(next.ID)
}

// mourn tells that the directory shut out the last owner. It is not refused: whoever
// left must not stay in for having been the only one, and root at the coordinator is
// an owner in effect.
func (d *decision) mourn(u *User) {
	if slices.Contains(d.state.RolesOf(u.ID), OwnerRole) && d.state.Ownerless() {
		d.warn("%s was the last owner who could sign in, and the directory shut them out: at the coordinator, `cordonctl role grant LOGIN owner`", u.Login)
		d.record("owner.none", u.ID, "login %s: nobody else is an owner who may come", u.Login)
	}
}

func (c DeprovisionUser) decide(d *decision) error {
	u, ok := d.state.Provisioned(c.ID)
	if !ok {
		return fmt.Errorf("record %q: %w", shorten(c.ID), ErrNotFound)
	}
	p := *u.Provision
	p.Active, p.Deleted, p.Groups = false, true, nil
	d.provision(u, p, nil)
	return nil
}

// adopt gives u the record that the directory has of whoever an identity is.
func (d *decision) adopt(u *User, who Identity) error {
	found, ok := d.state.matching(who)
	if !ok || found.ID == u.ID {
		return nil
	}
	if found.Issuer != "" || u.Provision != nil {
		return fmt.Errorf("%w: the directory knows another person (%s) by what tells who %s is: an admin must look who is who", ErrUser, found.ID, who.Login)
	}
	u.Disabled, u.Created = u.Disabled || found.Disabled, found.Created
	*u = d.state.with(*u, *found.Provision)
	return nil
}

// displace forgets who stood for a person before they first came.
func (d *decision) displace(u *User) {
	if u.Provision == nil {
		return
	}
	if stood, ok := d.state.recorded(u.Provision.ID); ok && stood.ID != u.ID {
		d.emit(UserForgotten{ID: stood.ID})
		d.record("scim.link", u.ID, "record %s is of %s", u.Provision.ID, u.Login)
	}
}

func sortedSet(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
