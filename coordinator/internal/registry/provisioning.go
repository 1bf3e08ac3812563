package registry

// The commands of a directory that provisions people, and the events that come of
// them beside those of people.
type (
	// ProvisionUser takes over what a directory says of a person. A record that is New
	// gets ID, unless the directory deleted one of the same person before, which
	// comes back; another record is ErrNotFound if it is not there. What is nil stays
	// as it was; who is new is active. ErrExists: the person, or the login, is another
	// record's, or is that of somebody whom the rule does not tell to be the same.
	//
	// Who is not active is shut out as by DisableUser, also before they ever came; it
	// takes no admin's word back.
	ProvisionUser struct {
		ID  string // 1 to 64 letters, digits, '-'
		New bool
		By  Matching

		External, UserName, Email, Name *string
		Active                          *bool
	}

	// DeprovisionUser deletes a record. The person stays shut out.
	DeprovisionUser struct{ ID string }

	// ProvisionGroup takes over what a directory says of a group. Members, Add and
	// Remove are records of people; who is not known is warned of. Members, if not
	// nil, takes the place of all that were in it before.
	ProvisionGroup struct {
		ID             string // 1 to 64 letters, digits, '-'
		New            bool   // ErrExists if a group of that name is there
		External, Name *string
		Members        *[]string
		Add, Remove    []string
	}

	// DeprovisionGroup deletes a group.
	DeprovisionGroup struct{ ID string }

	// GroupPut adds a group, or replaces what is known of it.
	GroupPut struct {
		Group Group `json:"group"`
	}
	// GroupDropped takes a group away.
	GroupDropped struct {
		ID string `json:"id"`
	}
)

func (GroupPut) kind() string     { return "scim-group-put" }
func (GroupDropped) kind() string { return "scim-group-dropped" }

// Matching says by what a directory's record and a person who signs in are told to be
// one. The zero value tells by the subject of no issuer: nobody.
type Matching struct {
	Issuer string // External is the subject there
	Claim  bool   // External is what the token says: Identity.External
	Login  bool   // the login alone: whoever the directory gives it to is the person
}

// match gives who signed in before and is the person of a record.
func (s *State) match(by Matching, p *Provision) (*User, bool) {
	switch {
	case by.Login:
		return s.UserByLogin(p.Login)
	case p.External == "":
		return nil, false
	case by.Claim:
		return s.external(p.External)
	}
	return s.User(userID(by.Issuer, p.External))
}

// matching gives whom the directory says an identity is, or who else is called so.
func (s *State) matching(who Identity) (u *User, ok bool) {
	if who.ByLogin {
		u, ok = s.holder(who.Login)
		return u, ok && u.Provision != nil
	}
	return s.external(who.External)
}
