package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

func (c CreateToken) decide(d *decision) error {
	t := Token{ID: c.ID, Kind: c.Kind, Secret: c.Secret, Created: d.now, By: d.actor}
	if own, _ := d.actorToken(); own != nil {
		t.Maker = cmp.Or(own.Holder, own.Maker)
	}
	if err := c.check(d, &t); err != nil {
		return err
	}
	if _, taken := d.state.Token(c.ID); taken {
		return fmt.Errorf("token %s: %w", c.ID, ErrExists)
	}
	if _, taken := d.state.TokenBySecret(c.Secret); taken {
		return fmt.Errorf("secret of token %s: %w", c.ID, ErrExists)
	}
	d.warnUnknown(t.Tags)
	d.emit(TokenCreated{Token: t})
	d.record("token.create", t.ID, "%s, user %q, tags %v, uses %d, needs approval %t, role %q, scopes %v, until %s",
		t.Kind, t.User, t.Tags, t.UsesLeft, t.NeedsApproval, t.Role, d.state.TokenScopes(&t, d.roleScopes), t.Expires.Format(time.RFC3339))
	d.result.Token, _ = d.state.Token(t.ID)
	return nil
}

// check completes t, or says what is wrong.
func (c CreateToken) check(d *decision, t *Token) error {
	if !isID(c.ID) {
		return invalid("token id", c.ID, "1 to 64 letters, digits or '-'")
	}
	if c.Secret == (SecretHash{}) {
		return fmt.Errorf("token %s: %w: it has no secret", c.ID, ErrInvalid)
	}
	lifetime := c.Lifetime
	if lifetime == 0 {
		lifetime = tokenLifetime
	}
	if lifetime < 0 || lifetime > MaxTokenLifetime {
		return invalid("token lifetime", c.Lifetime.String(), fmt.Sprintf("more than 0 and at most %v", MaxTokenLifetime))
	}
	t.Expires = d.now.Add(lifetime)
	switch c.Kind {
	case EnrolToken:
		return c.checkEnrol(d, t)
	case AdminToken:
		return c.checkAdmin(d, t)
	}
	return invalid("kind of token", string(c.Kind), `"enrol" or "admin"`)
}

func (c CreateToken) checkEnrol(d *decision, t *Token) (err error) {
	if len(c.Scopes) > 0 || c.Role != "" {
		return invalid("role or scopes of an enrolment token", fmt.Sprint(c.Role, c.Scopes), "none")
	}
	if (c.User == "") == (len(c.Tags) == 0) {
		return fmt.Errorf("enrolment token %s: %w: want either a user or tags, for its nodes belong to the one or the others", c.ID, ErrInvalid)
	}
	if c.User != "" {
		if err := checkUser(c.User); err != nil {
			return err
		}
		if u, known := d.state.holder(c.User); known && u.ShutOut() {
			return fmt.Errorf("enrolment token %s: %w: %s is disabled", c.ID, ErrUser, c.User)
		}
	}
	if c.Uses > MaxUses {
		return invalid("uses", fmt.Sprint(c.Uses), fmt.Sprintf("at most %d", MaxUses))
	}
	t.User, t.UsesLeft, t.NeedsApproval = strings.ToLower(c.User), max(tokenUses, c.Uses), c.NeedsApproval
	t.Tags, err = tagSet(c.Tags)
	return err
}

func (c CreateToken) checkAdmin(d *decision, t *Token) error {
	if c.User != "" || len(c.Tags) > 0 || c.Uses > 0 || c.NeedsApproval {
		return fmt.Errorf("admin token %s: %w: user, tags, uses and approval belong to enrolment tokens", c.ID, ErrInvalid)
	}
	if c.Role != "" {
		if len(c.Scopes) > 0 || len(d.roleScopes(c.Role)) == 0 {
			return invalid("role of an admin token", c.Role, "one of those that are listed, and no scopes beside it")
		}
		t.Role = c.Role
		return d.mayGive(t)
	}
	if len(c.Scopes) == 0 || len(c.Scopes) > maxScopes {
		return invalid("scopes", fmt.Sprint(len(c.Scopes)), fmt.Sprintf("1 to %d", maxScopes))
	}
	for _, scope := range c.Scopes {
		if scope == "" {
			return invalid("scope", scope, "a name")
		}
		if err := checkWord("scope", scope); err != nil {
			return err
		}
	}
	t.Scopes = slices.Clone(c.Scopes)
	slices.Sort(t.Scopes)
	t.Scopes = slices.Compact(t.Scopes)
	return d.mayGive(t)
}

func (c RevokeToken) decide(d *decision) error {
	t, ok := d.state.Token(c.ID)
	if !ok {
		return fmt.Errorf("token %q: %w", shorten(c.ID), ErrNotFound)
	}
	if err := d.mayEnd(t); err != nil {
		return err
	}
	if !t.Revoked {
		d.emit(TokenRevoked{ID: t.ID})
		d.record("token.revoke", t.ID, "%s, %d uses were left", t.Kind, t.UsesLeft)
	}
	d.revokeMadeBy(t.ID)
	d.result.Token, _ = d.state.Token(t.ID)
	return nil
}

// revokeMadeBy revokes what was made with a token, and with that in turn: whoever
// had stolen it would keep the mesh by a copy of their own. What a person made in
// an admin session stays when that ends, and goes with the person's rights.
func (d *decision) revokeMadeBy(id string) {
	d.unlinkAll("it was made with "+id, func(l *SetupLink) bool { return l.By == TokenActor(id) })
	for _, t := range d.state.Tokens() {
		if t.By != TokenActor(id) || t.Revoked {
			continue
		}
		d.emit(TokenRevoked{ID: t.ID})
		d.record("token.revoke", t.ID, "it was made with %s", id)
		d.result.Revoked++
		d.revokeMadeBy(t.ID)
	}
}
