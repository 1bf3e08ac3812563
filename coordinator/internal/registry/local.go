package registry

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/text/secure/precis"
)

// LocalIssuer is the issuer of people whom the coordinator knows by itself. Every
// issuer of OpenID Connect is a URL with https, so none is called this.
const LocalIssuer = "cordon:local"

// Bounds on what proves one person.
const (
	MaxLinkLife = 7 * 24 * time.Hour
	MaxPasskeys = 8
	maxPlaces   = 32
	maxSealed   = 1 << 10
	maxPasskey  = 4 << 10 // an RSA key of 4096 bits has 0.6 KB
)

// Local is by what a person of LocalIssuer proves who they are. It is never changed
// once it is in a State. Password and TOTP are sealed with a key that no journal
// holds; what else is here is no secret.
type Local struct {
	User     string     `json:"user"`           // id
	Link     *SetupLink `json:"link,omitempty"` // nil: none is open
	Password []byte     `json:"password,omitempty"`
	TOTP     []byte     `json:"totp,omitempty"` // set together with Password
	Step     int64      `json:"step,omitempty"` // of the last code that counted (RFC 6238): an earlier one counts no more
	Passkeys []Passkey  `json:"passkeys,omitempty"`
	// Generation is raised when what a proof was checked against is void: what was
	// proved before counts no more, nor begins a session.
	Generation uint64 `json:"generation,omitempty"`

	Places []Place `json:"places,omitempty"` // where they proved themselves, latest last
	Given  []Given `json:"given,omitempty"`  // by whom they are who they are, latest last
}

// Place is a node, or a seat there, at which a person proved who they are, and when they last did.
type Place struct {
	Node string    `json:"node"`           // id
	Seat string    `json:"seat,omitempty"` // as of a Session
	At   time.Time `json:"at"`
}

// SetupLink lets whoever holds its secret set up, once, how a person proves who
// they are.
type SetupLink struct {
	Secret SecretHash `json:"secret"`
	Until  time.Time  `json:"until"`           // exclusive
	Maker  string     `json:"maker,omitempty"` // id of the person in whose name it was made, as of a Token
	By     Actor      `json:"by,omitempty"`    // who made it
}

// Passkey is the public half of a passkey (WebAuthn Level 3).
type Passkey struct {
	ID     []byte    `json:"id"`
	Key    []byte    `json:"key"`             // COSE_Key
	Count  uint32    `json:"count,omitempty"` // of signatures, as last heard; 0: it counts none
	Synced bool      `json:"synced,omitempty"`
	Added  time.Time `json:"added"`
}

// Passkey gives the passkey with an id.
func (l *Local) Passkey(id []byte) (Passkey, bool) {
	i := slices.IndexFunc(l.Passkeys, func(p Passkey) bool { return string(p.ID) == string(id) })
	if i < 0 {
		return Passkey{}, false
	}
	return l.Passkeys[i], true
}

// ProvedAt tells whether the person proved who they are at a node's seat, or at
// the whole of it, since a time.
func (l *Local) ProvedAt(node, seat string, since time.Time) bool {
	return slices.ContainsFunc(l.Places, func(p Place) bool { return p.Node == node && p.Seat == seat && p.At.After(since) })
}

// CanonicalLogin gives a login of a person of LocalIssuer as it is kept (RFC 8265 section
// 3.3): whatever keyboard it comes from, one that looks the same is the same. It fails with
// ErrInvalid.
func CanonicalLogin(typed string) (string, error) {
	if len(typed) > maxWord {
		return "", invalid("login", typed, "a login such as ana@clinic.example")
	}
	login, err := precis.UsernameCaseMapped.String(typed)
	if err != nil {
		return "", invalid("login", typed, "a login such as ana@clinic.example, without blanks and symbols")
	}
	return login, nil
}

// LocalID gives the id of the person with a subject at LocalIssuer.
func LocalID(subject string) string { return userID(LocalIssuer, subject) }

// Local gives by what a person proves who they are.
func (s *State) Local(user string) (*Local, bool) { return s.locals.Get(user) }

// LocalByLink gives whose a link is that is open at a time. A person who was shut out has none,
// and one whose maker was shut out, or by whom the provider no longer stands, is not open.
func (s *State) LocalByLink(secret SecretHash, now time.Time) (*Local, bool) {
	id, ok := s.byLink.Get(secret)
	if !ok {
		return nil, false
	}
	l, ok := s.locals.Get(id)
	u, known := s.users.Get(id)
	if !ok || !known || u.ShutOut() || l.Link == nil || l.Link.Secret != secret || s.disowned(l.Link.Maker) || !now.Before(l.Link.Until) {
		return nil, false
	}
	return l, true
}

// SortedLocals gives all of them, by person.
func (s *State) SortedLocals() []*Local {
	return slices.SortedFunc(s.locals.Values(), func(a, b *Local) int { return strings.Compare(a.User, b.User) })
}

// LocalIdentity gives who a person of LocalIssuer is, proved at a time by some methods.
// It names no groups: the state has them.
func (s *State) LocalIdentity(user string, at time.Time, amr []string) (Identity, bool) {
	u, ok := s.User(user)
	if !ok || u.Issuer != LocalIssuer {
		return Identity{}, false
	}
	who := Identity{Issuer: u.Issuer, Subject: u.Subject, Login: u.Login, Name: u.Name, At: at, AMR: amr}
	if l, ok := s.Local(user); ok {
		who.Generation = l.Generation
	}
	return who, true
}

func (s *State) putLocal(l *Local) {
	if old, ok := s.locals.Get(l.User); ok && old.Link != nil {
		s.byLink = s.byLink.Without(old.Link.Secret)
	}
	s.locals = s.locals.With(l.User, l)
	if l.Link != nil {
		s.byLink = s.byLink.With(l.Link.Secret, l.User)
	}
}

func (s *State) dropLocal(user string) {
	if old, ok := s.locals.Get(user); ok && old.Link != nil {
		s.byLink = s.byLink.Without(old.Link.Secret)
	}
	s.locals = s.locals.Without(user)
}
