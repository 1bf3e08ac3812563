package registry

import (
	"fmt"
	"slices"
)

type (
	// SignOut ends the sessions of a person that came of an issuer, who no longer stands
	// by them, also those in which they operate. With SID they are those alone of that
	// session at the issuer, and those of which it is not known of which they are; without
	// Subject, that session's, whoever's it is. Without SID the issuer stands by the person
	// no longer, wherever they sit: what they made rests until it proves them anew, as it
	// may (User.Disowned).
	SignOut struct{ Issuer, Subject, SID string }

	// Renew takes over what an issuer says anew of a person who signed in before: what
	// they are called, and their groups. It proves nothing, and no session goes on by it;
	// nor does another login count before they sign in by it. ErrNotFound: nobody is known
	// of this issuer and subject.
	Renew struct{ Who Identity }
)

func (c SignOut) decide(d *decision) error {
	if c.Issuer == "" || c.Subject == "" && c.SID == "" {
		return fmt.Errorf("signing out: %w: say whom of which issuer", ErrInvalid)
	}
	const why = "the provider no longer stands by it"
	d.endAll(why, func(s *Session) bool { return c.concerns(d.state, s.User, s.at) })
	for _, t := range d.state.Tokens() {
		if !t.Over(d.now) && c.concerns(d.state, t.Holder, func(sid string) bool { return t.SID == sid }) {
			d.emit(TokenRevoked{ID: t.ID})
			d.record("admin.end", t.ID, why)
			d.result.Ended++
		}
	}
	if u, known := d.state.UserBySubject(c.Issuer, c.Subject); known && c.SID == "" {
		d.disown(u)
	}
	return nil
}

// concerns tells whether a person's session is meant, of which at tells whether it came
// of one at the provider.
func (c SignOut) concerns(s *State, user string, at func(sid string) bool) bool {
	u, ok := s.User(user)
	if !ok || u.Issuer != c.Issuer || c.Subject != "" && u.Subject != c.Subject {
		return false
	}
	return c.SID == "" || at(c.SID) || c.Subject != "" && at("")
}

// at tells whether one of the session's proofs was given in a session at the provider.
func (s *Session) at(sid string) bool {
	return slices.ContainsFunc(s.Logins, func(l Login) bool { return l.SID == sid })
}

// disown lays to rest what a person made. It is not revoked: the provider also says this
// of whoever went home.
func (d *decision) disown(u *User) {
	next := *u
	next.Disowned = d.now
	d.emit(UserPut{User: next})
	rests := 0
	for _, t := range d.state.Tokens() {
		if t.Maker == u.ID && !t.Over(d.now) {
			rests++
		}
	}
	d.record("user.disown", u.ID, "login %s: the provider no longer stands by them; %d tokens of their making rest until they sign in again", u.Login, rests)
}

// disowned tells whether a person made something by whom the provider no longer stands, or
// who is shut out: what ends with that may come from a program that ended less.
func (s *State) disowned(maker string) bool {
	u, known := s.User(maker)
	return known && (u.ShutOut() || !u.Disowned.IsZero())
}

func (c Renew) decide(d *decision) error {
	if err := c.Who.check(); err != nil {
		return err
	}
	known, ok := d.state.User(userID(c.Who.Issuer, c.Who.Subject))
	if !ok {
		return fmt.Errorf("%s: %w", c.Who.Login, ErrNotFound)
	}
	if known.ShutOut() {
		return fmt.Errorf("%w: %s", ErrUser, known.whoShut())
	}
	who := c.Who
	who.Login = known.Login // machines and sessions are in its name
	u := d.described(who)
	u.Disowned = known.Disowned
	if err := d.adopt(u, who); err != nil { // who moved out of a group has left it, whosever the record is
		d.warn("%v", err)
		u.External = known.External
	}
	if !known.equal(u) {
		d.displace(u)
		d.emit(UserPut{User: *u})
		d.record("user.renew", u.ID, "login %s, name %q, groups %v", u.Login, u.Name, u.Groups)
	}
	if u.ShutOut() {
		d.evict(u)
		d.mourn(u)
	}
	d.result.User = u
	return nil
}
