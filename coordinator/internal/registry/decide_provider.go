package registry

import (
	"fmt"
	"slices"
)

type (
	// SignOut ends the sessions of a person that came of an issuer, who no longer stands
	// by them. With SID they are those alone of that session at the issuer, and those of
	// which it is not known of which they are; without Subject, that session's, whoever's
	// it is. The person may sign in again.
	SignOut struct{ Issuer, Subject, SID string }

	// Renew takes over what an issuer says anew of a person who signed in before: what
	// they are called, and their groups. It proves nothing, and no session goes on by it.
	// ErrNotFound: nobody is known of this issuer and subject.
	Renew struct{ Who Identity }
)

func (c SignOut) decide(d *decision) error {
	if c.Issuer == "" || c.Subject == "" && c.SID == "" {
		return fmt.Errorf("signing out: %w: say whom of which issuer", ErrInvalid)
	}
	d.endAll("the provider no longer stands by it", func(s *Session) bool {
		u, ok := d.state.User(s.User)
		if !ok || u.Issuer != c.Issuer || c.Subject != "" && u.Subject != c.Subject {
			return false
		}
		return c.SID == "" || s.at(c.SID) || c.Subject != "" && s.at("")
	})
	return nil
}

// at tells whether one of the session's proofs was given in a session at the provider.
func (s *Session) at(sid string) bool {
	return slices.ContainsFunc(s.Logins, func(l Login) bool { return l.SID == sid })
}

func (c Renew) decide(d *decision) error {
	if err := c.Who.check(); err != nil {
		return err
	}
	known, ok := d.state.User(userID(c.Who.Issuer, c.Who.Subject))
	if !ok {
		return fmt.Errorf("%s: %w", c.Who.Login, ErrNotFound)
	}
	if c.Who.Login != known.Login {
		return fmt.Errorf("%s is called %s now: %w: they sign in anew by another login", known.Login, c.Who.Login, ErrUser)
	}
	u, err := d.recognise(c.Who)
	if err != nil {
		return err
	}
	if !known.equal(u) {
		d.displace(u)
		d.emit(UserPut{User: *u})
		d.record("user.renew", u.ID, "login %s, name %q, groups %v", u.Login, u.Name, u.Groups)
	}
	d.result.User = u
	return nil
}
