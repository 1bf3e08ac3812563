package registry

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxSessionLife bounds how long a person stays signed in.
const MaxSessionLife = 30 * 24 * time.Hour

func (c BeginSession) decide(d *decision) error {
	n, ok := d.state.Node(c.Node)
	if !ok {
		return fmt.Errorf("node %q: %w", shorten(c.Node), ErrNotFound)
	}
	if err := c.check(); err != nil {
		return err
	}
	u, err := d.person(c.Who)
	if err != nil {
		return d.refuse("session.begin", n.ID, fmt.Errorf("sign-in of %s at %s: %w", c.Who.Login, n.Name, err))
	}
	if owner := n.Owner(); owner != "" && !u.called(owner) {
		return d.refuse("session.begin", n.ID, fmt.Errorf("%s cannot sign in at %s: %w: this machine is %s's", u.Login, n.Name, ErrUser, owner))
	}
	if err := d.prolong(n, c.Who, c.DeviceLife); err != nil {
		return d.refuse("session.begin", n.ID, err)
	}
	n, _ = d.state.Node(n.ID)
	d.know(u)
	if err := d.begin(n, u, c); err != nil {
		return d.refuse("session.begin", n.ID, err)
	}
	return nil
}

// know keeps what is new of a person.
func (d *decision) know(u *User) {
	d.displace(u)
	known, ok := d.state.User(u.ID)
	if ok && known.equal(u) {
		return
	}
	d.emit(UserPut{User: *u})
	d.record("user.put", u.ID, "login %s, name %q, groups %v, issuer %s", u.Login, u.Name, u.Groups, u.Issuer)
	if ok && !known.Disowned.IsZero() {
		d.record("user.own", u.ID, "login %s: the provider stands by them again: what they made rests no more", u.Login)
	}
}

// person gives whom an identity is. Who one of the coordinator's own is, and in which
// groups, the state says: an operator may have changed or taken it since the proof.
func (d *decision) person(who Identity) (*User, error) {
	if who.Issuer != LocalIssuer {
		return d.recognise(who)
	}
	l, known := d.state.Local(userID(who.Issuer, who.Subject))
	if !known {
		return nil, fmt.Errorf("%w: this coordinator knows nobody like that any more", ErrUser)
	}
	u, _ := d.state.User(l.User)
	switch {
	case u.ShutOut():
		return nil, fmt.Errorf("%w: %s", ErrUser, u.whoShut())
	case l.Generation != who.Generation:
		return nil, fmt.Errorf("%w: by what %s proves who they are was changed meanwhile: sign in again", ErrUser, u.Login)
	}
	return u, nil
}

func (c BeginSession) check() error {
	if !isID(c.ID) {
		return invalid("session id", c.ID, "1 to 64 letters, digits or '-'")
	}
	if c.Life <= 0 || c.Life > MaxSessionLife {
		return invalid("life of a session", c.Life.String(), fmt.Sprintf("more than 0 and at most %v", MaxSessionLife))
	}
	for _, err := range []error{checkLife(c.DeviceLife), checkSeat(c.Seat)} {
		if err != nil {
			return err
		}
	}
	return c.Who.check()
}

// begin begins a session, or goes on with that which the person has there.
func (d *decision) begin(n *Node, u *User, c BeginSession) error {
	if err := CheckSeat(n, c.Seat); err != nil {
		return err
	}
	login := Login{At: earlier(c.Who.At.UTC().Truncate(time.Second), d.now), AMR: slices.Compact(slices.Sorted(slices.Values(c.Who.AMR))), ACR: c.Who.ACR, SID: c.Who.SID}
	s := Session{ID: c.ID, Node: n.ID, User: u.ID, Login: u.Login, Seat: c.Seat, Begun: d.now, Heard: d.now, Until: d.now.Add(c.Life).Truncate(time.Second)}
	if !n.Expires.IsZero() {
		s.Until = earlier(s.Until, n.Expires) // for nodes, too, that know of no such end
	}
	login.Until = s.Until
	for _, other := range d.state.SessionsAt(n.ID) {
		switch {
		case !other.sharesSeat(&s) || other.Login != u.Login:
		case other.Live(d.now):
			s.ID, s.Begun, s.Logins = other.ID, other.Begun, other.Logins
		case s.Seat != "" && d.drains(other):
			s.ID = other.ID // by which nodes know whose it is what drains: it is theirs again
		}
	}
	s.Logins = append(slices.Clip(s.Logins), login)
	s.Logins = s.Logins[max(0, len(s.Logins)-maxLogins):]
	d.makeWay(n, &s)
	put, err := d.seat(n, s)
	if err != nil {
		return err
	}
	s = put.Session
	d.emit(put)
	d.record("session.begin", s.ID, "%s at %s (%s)%s, amr %v, acr %q, proved %s, until %s",
		u.Login, n.Name, n.ID, s.seatText(), login.AMR, login.ACR, login.At.Format(time.RFC3339), s.Until.Format(time.RFC3339))
	d.result.Session = &s
	return nil
}

func (s *Session) seatText() string {
	if s.Seat == "" {
		return ""
	}
	return fmt.Sprintf(", seat %s, addresses %v", s.Seat, s.Addresses)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// endAll ends every session of which a function says so.
func (d *decision) endAll(why string, which func(*Session) bool) {
	at := map[string][]string{}
	for s := range d.state.Sessions() {
		if which(s) {
			at[s.Node] = append(at[s.Node], s.ID)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(at)) {
		d.end(node, slices.Sorted(slices.Values(at[node])), why)
	}
}

// end ends sessions at a node.
func (d *decision) end(node string, ids []string, why string) {
	if len(ids) == 0 {
		return
	}
	d.emit(SessionsEnded{Node: node, Sessions: ids})
	d.result.Ended += len(ids)
	for _, id := range ids {
		d.record("session.end", id, "at %s: %s", node, why)
	}
}

// emitOver makes an event happen that may end the sessions at a node by itself, and
// tells the audit of each that it ended: whoever asks until when somebody was signed
// in finds it there.
func (d *decision) emitOver(node string, e Event, why string) {
	before := d.state.SessionsAt(node)
	d.emit(e)
	for _, s := range before {
		if !slices.Contains(d.state.SessionsAt(node), s) {
			d.record("session.end", s.ID, "at %s: %s", node, why)
		}
	}
}

func (c EndSessions) decide(d *decision) error {
	if c.ID == "" && c.Node == "" {
		return fmt.Errorf("ending sessions: %w: say which session, or at which node", ErrInvalid)
	}
	wanted := func(s *Session) bool { return c.ID == "" || s.ID == c.ID }
	if c.Node == "" {
		d.endAll("asked for", wanted)
	} else { // as at each sign-out, which must not look at everybody's
		var ids []string
		for _, s := range d.state.SessionsAt(c.Node) {
			if wanted(s) {
				ids = append(ids, s.ID)
			}
		}
		d.end(c.Node, ids, "asked for")
	}
	if c.ID != "" && d.result.Ended == 0 {
		return fmt.Errorf("session %q: %w; list the sessions for their ids", shorten(c.ID), ErrNotFound)
	}
	return nil
}

func (c RequireSignIn) decide(d *decision) error {
	if c.Default && d.state.signInSaid {
		return nil
	}
	if d.state.SignIn != c.Required || !d.state.signInSaid {
		d.emit(SignInRequired{c.Required})
		d.record("mesh.sign-in", d.state.Mesh.String(), "people must sign in: %t", c.Required)
	}
	return nil
}
