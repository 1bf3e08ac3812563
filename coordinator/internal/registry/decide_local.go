package registry

import (
	"fmt"
	"slices"
	"time"
)

// The commands about people whom the coordinator knows by itself.
type (
	// AddLocal adds a person, whose login nobody has or had (ErrExists), and a link by
	// which they set up how they prove who they are. Who is not an operator at the
	// coordinator itself gives no login that machines await (ErrUser).
	AddLocal struct {
		Subject     string // random, and never given to another person
		Login, Name string
		Groups      []string // without "local:"
		Link        SecretHash
		Life        time.Duration // of the link, at most MaxLinkLife
	}

	// ResetLocal gives a person another link. Unless Keep says so, what they could prove
	// themselves by is void, and their sessions end: it may be in somebody else's hands.
	ResetLocal struct {
		User string // id or login
		Link SecretHash
		Life time.Duration
		Keep bool
	}

	// GroupLocal gives a person exactly these groups, as with AddLocal.
	GroupLocal struct {
		User   string
		Groups []string
	}

	// SetUpLocal spends a link (ErrNotFound): Password and TOTP, both sealed, take the
	// place of those before, or Passkey comes to the others. The caller has seen them work.
	SetUpLocal struct {
		Link           SecretHash
		Password, TOTP []byte
		Step           int64 // of the code that showed that TOTP works
		Passkey        *Passkey
		From           string // where the browser was, for the audit
	}

	// ProveLocal has a proof count, once: a code of that step or a later one, or
	// passkey's count, counted before gives ErrReplayed, and what was judged before a
	// reset or a new password ErrStale. The caller has verified it.
	ProveLocal struct {
		User       string // id
		Generation uint64 // of the Local that it was judged against
		Step       int64
		Password   []byte // the same password, hashed anew at another cost; nil: it stays as it is
		Passkey    []byte
		Count      uint32
		Node       string // id of where it is; empty: nowhere that shall be remembered
		Seat       string // there, as of a Session
	}
)

func (c AddLocal) decide(d *decision) error {
	login, err := CanonicalLogin(c.Login)
	if err != nil {
		return err
	}
	who := Identity{Issuer: LocalIssuer, Subject: c.Subject, Login: login, Name: c.Name, Groups: c.Groups}
	if err := who.check(); err != nil {
		return err
	}
	link, err := d.link(c.Link, c.Life)
	if err != nil {
		return err
	}
	if u, taken := d.state.UserByLogin(who.Login); taken {
		return fmt.Errorf("person %s: %w: it is or was a login of %s (issuer %q)", who.Login, ErrExists, u.ID, u.Issuer)
	}
	if err := d.lent(who.Login); err != nil {
		return err
	}
	u, err := d.recognise(who)
	if err != nil {
		return err
	}
	if u.Groups, err = localGroups(c.Groups); err != nil {
		return err
	}
	if _, taken := d.state.User(u.ID); taken {
		return fmt.Errorf("person %s: %w: the subject is another's", who.Login, ErrExists)
	}
	d.emit(UserPut{User: *u})
	l := Local{User: u.ID, Link: link}
	l.give(d.granter(), d.now)
	d.emit(LocalPut{Local: l})
	d.record("local.add", u.ID, "login %s, name %q, groups %v; a link to set up is open until %s", u.Login, u.Name, u.Groups, link.Until.Format(time.RFC3339))
	d.result.User, _ = d.state.User(u.ID)
	return nil
}

func (d *decision) link(secret SecretHash, life time.Duration) (*SetupLink, error) {
	if life <= 0 || life > MaxLinkLife {
		return nil, invalid("life of a link", life.String(), fmt.Sprintf("more than 0 and at most %v", MaxLinkLife))
	}
	if _, taken := d.state.byLink.Get(secret); taken || secret == (SecretHash{}) {
		return nil, fmt.Errorf("link to set up: %w: its secret is none, or another's", ErrInvalid)
	}
	return &SetupLink{Secret: secret, Until: d.now.Add(life).Truncate(time.Second), Maker: d.granter(), By: d.actor}, nil
}

// unlink closes a link that is open.
func (d *decision) unlink(l *Local, why string) {
	if l.Link == nil {
		return
	}
	next := *l
	next.Link = nil
	d.emit(LocalPut{Local: next})
	d.record("local.unlink", l.User, "the link to set up is void: %s", why)
}

// unlinkAll closes the links that are open of which a function says so.
func (d *decision) unlinkAll(why string, which func(*SetupLink) bool) {
	for _, l := range d.state.SortedLocals() {
		if l.Link == nil || !d.now.Before(l.Link.Until) || !which(l.Link) {
			continue
		}
		d.unlink(l, why)
		if u, known := d.state.User(l.User); known {
			d.voided(MadeLink, u.Login, time.Time{})
		}
	}
}

// local finds a person of the coordinator's own.
func (d *decision) local(idOrLogin string) (*User, *Local, error) {
	u, known := d.state.FindUser(idOrLogin)
	if !known {
		return nil, nil, fmt.Errorf("user %q: %w; list the users for their logins", shorten(idOrLogin), ErrNotFound)
	}
	l, ok := d.state.Local(u.ID)
	if !ok {
		return nil, nil, fmt.Errorf("%s: %w: who they are is for %q to say, not for this coordinator", u.Login, ErrInvalid, u.Issuer)
	}
	return u, l, nil
}

func (c ResetLocal) decide(d *decision) error {
	u, l, err := d.local(c.User)
	if err != nil {
		return err
	}
	if u.ShutOut() {
		return fmt.Errorf("%s: %w: enable them first", u.whoShut(), ErrUser)
	}
	if err := d.mustOutrank(u, "local.reset"); err != nil {
		return err
	}
	next := *l
	if next.Link, err = d.link(c.Link, c.Life); err != nil {
		return err
	}
	until := next.Link.Until.Format(time.RFC3339)
	if c.Keep {
		d.emit(LocalPut{Local: next})
		d.record("local.link", u.ID, "login %s: a link to set up one thing more is open until %s", u.Login, until)
	} else {
		next.Password, next.TOTP, next.Passkeys, next.Places = nil, nil, nil, nil
		next.Generation++
		d.emit(LocalPut{Local: next})
		d.record("local.reset", u.ID, "login %s: password, codes and passkeys are void; a link to set up anew is open until %s", u.Login, until)
		const why = "by what the person proves who they are was reset"
		d.endAll(why, func(s *Session) bool { return s.User == u.ID })
		d.bereave(u, why)
	}
	d.result.User = u
	return nil
}

func (c GroupLocal) decide(d *decision) error {
	u, l, err := d.local(c.User)
	if err != nil {
		return err
	}
	if err := d.mustOutrank(u, "local.groups"); err != nil {
		return err
	}
	who, _ := d.state.LocalIdentity(u.ID, d.now, nil)
	who.Groups = c.Groups
	if err := who.check(); err != nil {
		return err
	}
	groups, err := localGroups(c.Groups)
	if err != nil {
		return err
	}
	if next := d.state.grouped(*u, groups); !next.equal(u) {
		d.emit(UserPut{User: next})
		if d.granter() != "" {
			given := *l
			given.give(d.granter(), d.now)
			d.emit(LocalPut{Local: given})
		}
		d.record("local.groups", u.ID, "login %s: %v -> %v", u.Login, u.Groups, next.Groups)
	}
	d.result.User, _ = d.state.User(u.ID)
	return nil
}

func (c SetUpLocal) decide(d *decision) error {
	l, ok := d.state.LocalByLink(c.Link, d.now)
	if !ok {
		return fmt.Errorf("link to set up: %w: it was used, is too old, or never was", ErrNotFound)
	}
	if err := c.check(l); err != nil {
		return err
	}
	next, what := *l, "a password with codes"
	next.give(l.Link.Maker, d.now)
	if next.Link = nil; c.Passkey != nil {
		key := *c.Passkey
		key.Added = d.now
		next.Passkeys, what = append(slices.Clone(l.Passkeys), key), "a passkey"
	} else {
		next.Password, next.TOTP, next.Step = c.Password, c.TOTP, c.Step
		next.Generation++
	}
	u, _ := d.state.User(l.User)
	d.emit(LocalPut{Local: next})
	d.record("local.set-up", u.ID, "login %s: %s, from %s", u.Login, what, shorten(c.From))
	d.result.User = u
	return nil
}

func (c SetUpLocal) check(l *Local) error {
	if c.Passkey == nil {
		if len(c.Password) == 0 || len(c.TOTP) == 0 || len(c.Password) > maxSealed || len(c.TOTP) > maxSealed {
			return fmt.Errorf("set-up: %w: a password goes with codes", ErrInvalid)
		}
		return nil
	}
	_, twice := l.Passkey(c.Passkey.ID)
	switch {
	case len(c.Password) > 0 || len(c.TOTP) > 0 || len(c.Passkey.ID) == 0 || len(c.Passkey.Key) == 0 || len(c.Passkey.ID) > maxPasskey || len(c.Passkey.Key) > maxPasskey:
		return fmt.Errorf("set-up: %w: one thing at a time, of a size that makes sense", ErrInvalid)
	case twice:
		return fmt.Errorf("set-up: %w: the passkey is theirs already", ErrExists)
	case len(l.Passkeys) >= MaxPasskeys:
		return fmt.Errorf("set-up: %w: a person has at most %d passkeys", ErrInvalid, MaxPasskeys)
	}
	return nil
}

// placeStale is how old what is known of a place may be: a passkey that counts nothing
// writes no more often.
const placeStale = 24 * time.Hour

func (c ProveLocal) decide(d *decision) error {
	u, l, err := d.local(c.User)
	if err != nil {
		return err
	}
	if c.Generation != l.Generation {
		return fmt.Errorf("login %s: %w: by what they prove who they are", u.Login, ErrStale)
	}
	if len(c.Passkey) == 0 {
		if c.Step <= l.Step || len(l.TOTP) == 0 {
			return d.refuse("local.replay", u.ID, fmt.Errorf("login %s: %w: a code", u.Login, ErrReplayed))
		}
		if len(c.Password) > maxSealed {
			return fmt.Errorf("hash of a password: %w: it is too long", ErrInvalid)
		}
		d.emit(LocalProved{User: u.ID, Step: c.Step, Password: c.Password, Node: c.Node, Seat: c.Seat})
		return nil
	}
	known, ok := l.Passkey(c.Passkey)
	if !ok {
		return fmt.Errorf("passkey of %s: %w", u.Login, ErrNotFound)
	}
	if (known.Count != 0 || c.Count != 0) && c.Count <= known.Count {
		return d.refuse("local.replay", u.ID, fmt.Errorf("login %s: %w: a passkey's count went from %d to %d: it may have been copied", u.Login, ErrReplayed, known.Count, c.Count))
	}
	if c.Count != known.Count || c.Node != "" && !l.ProvedAt(c.Node, c.Seat, d.now.Add(-placeStale)) {
		d.emit(LocalProved{User: u.ID, Passkey: c.Passkey, Count: c.Count, Node: c.Node, Seat: c.Seat})
	}
	return nil
}
