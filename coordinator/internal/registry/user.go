package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"
	"strings"
	"time"
)

// User is a person as the mesh knows them. It is never changed once it is in a
// State.
type User struct {
	ID string `json:"id"` // of Issuer and Subject, for life

	// Issuer and Subject say who it is. Both are empty for somebody who never
	// signed in, and whom an admin shut out by the login alone.
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`

	Login string `json:"login"` // the policy names people by it

	// Former are logins that they had. Nobody else gets one: machines and policies
	// may go on naming the person by it. With Login they are unique in the mesh.
	Former []string `json:"former,omitempty"`

	Name     string    `json:"name,omitempty"`
	Groups   []string  `json:"groups,omitempty"`   // as the policy writes them ("idp:Nurses", "local:Nurses"), sorted
	Disabled bool      `json:"disabled,omitempty"` // by an admin
	Created  time.Time `json:"created"`
	Enabled  *Vouch    `json:"enabled,omitempty"` // who let them in again last; nil: nobody

	// Disowned is when the issuer last said clearly that it stands by them no longer;
	// zero: it has proved them since. What they made rests meanwhile.
	Disowned time.Time `json:"disowned,omitzero"`

	External  string     `json:"external,omitempty"`  // as Identity has it
	Provision *Provision `json:"provision,omitempty"` // what a directory says of them; nil: nothing
}

// userID gives the id of whoever an issuer calls by a subject.
func userID(issuer, subject string) string {
	sum := sha256.Sum256([]byte("cordon user v1\n" + issuer + "\n" + subject))
	return "u-" + hex.EncodeToString(sum[:8])
}

// equal tells whether two say the same.
func (u *User) equal(o *User) bool {
	return u.ID == o.ID && u.Issuer == o.Issuer && u.Subject == o.Subject && u.Login == o.Login && u.Name == o.Name &&
		slices.Equal(u.Groups, o.Groups) && slices.Equal(u.Former, o.Former) && u.Disabled == o.Disabled && u.Enabled == o.Enabled && u.Disowned.Equal(o.Disowned) &&
		u.External == o.External && u.Provision.equal(o.Provision)
}

// logins gives every login by which the person is known.
func (u *User) logins() []string { return append(slices.Clone(u.Former), u.Login) }

// called tells whether a login is the person's, in whatever case.
func (u *User) called(login string) bool { return slices.Contains(u.logins(), strings.ToLower(login)) }

// User gives the person with an id.
func (s *State) User(id string) (*User, bool) { return s.users.Get(id) }

// UserBySubject gives the person whom an issuer calls so.
func (s *State) UserBySubject(issuer, subject string) (*User, bool) {
	return s.users.Get(userID(issuer, subject))
}

// UserByLogin gives the person who has or had a login, in whatever case.
func (s *State) UserByLogin(login string) (*User, bool) {
	id, ok := s.byLogin.Get(strings.ToLower(login))
	if !ok {
		return nil, false
	}
	return s.users.Get(id)
}

// FindUser gives the person with an id or a login.
func (s *State) FindUser(idOrLogin string) (*User, bool) {
	if u, ok := s.User(idOrLogin); ok {
		return u, true
	}
	return s.UserByLogin(idOrLogin)
}

// Users gives every person who signed in or was shut out, in no order.
func (s *State) Users() iter.Seq[*User] { return s.users.Values() }

// SortedUsers gives every person, by login.
func (s *State) SortedUsers() []*User {
	return slices.SortedFunc(s.Users(), func(a, b *User) int { return strings.Compare(a.Login, b.Login) })
}

// Admitted tells whether a node may have peers: it was approved, its time is not
// over, and nobody shut its owner out.
func (s *State) Admitted(n *Node) bool {
	u, known := s.holder(n.Owner())
	return n.Approved && !n.Expired && !(known && u.ShutOut())
}

func (s *State) putUser(u *User) {
	if old, known := s.users.Get(u.ID); known {
		s.dropUser(old)
	}
	s.users = s.users.With(u.ID, u)
	for _, login := range u.logins() {
		s.byLogin = s.byLogin.With(login, u.ID)
	}
	s.putProvision(u)
}

func (s *State) dropUser(u *User) {
	s.users = s.users.Without(u.ID)
	for _, login := range u.logins() {
		s.byLogin = s.byLogin.Without(login)
	}
	s.dropProvision(u)
}
