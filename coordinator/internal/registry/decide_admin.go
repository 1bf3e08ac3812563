package registry

import (
	"fmt"
	"time"
)

// MaxAdminLife bounds an admin session: nobody must have to remember to end one.
const MaxAdminLife = 12 * time.Hour

// BeginAdmin signs a person in at the admin API, for Life from now: it makes an
// admin token that may, at each moment, what the person's roles allow. Who has no
// role gets none (ErrForbidden). The caller has verified the identity, and that
// the person meant whoever holds the secret.
type BeginAdmin struct {
	ID     string // as CreateToken's
	Secret SecretHash
	Who    Identity
	Life   time.Duration // at most MaxAdminLife
}

// EndAdmin ends an admin session that rested. What its person made stays.
type EndAdmin struct{ ID, Why string }

func (c EndAdmin) decide(d *decision) error {
	t, ok := d.state.Token(c.ID)
	if !ok || t.Holder == "" {
		return fmt.Errorf("admin session %q: %w", shorten(c.ID), ErrNotFound)
	}
	if !t.Revoked {
		d.emit(TokenRevoked{ID: t.ID})
		d.record("admin.end", t.ID, "%s", c.Why)
	}
	return nil
}

func (c BeginAdmin) decide(d *decision) error {
	if !isID(c.ID) || c.Secret == (SecretHash{}) {
		return invalid("id or secret of an admin session", c.ID, "1 to 64 letters, digits or '-', and a secret")
	}
	if c.Life <= 0 || c.Life > MaxAdminLife {
		return invalid("life of an admin session", c.Life.String(), fmt.Sprintf("more than 0 and at most %v", MaxAdminLife))
	}
	if err := c.Who.check(); err != nil {
		return err
	}
	_, idTaken := d.state.Token(c.ID)
	if _, taken := d.state.TokenBySecret(c.Secret); taken || idTaken {
		return fmt.Errorf("admin session %s: %w", c.ID, ErrExists)
	}
	u, err := d.person(c.Who)
	if err != nil {
		return d.refuse("admin.begin.refuse", c.Who.Login, fmt.Errorf("admin session of %s: %w", c.Who.Login, err))
	}
	if len(d.state.scopesOf(u.ID, d.roleScopes)) == 0 {
		return d.refuse("admin.begin.refuse", u.ID, fmt.Errorf("admin session of %s: %w: they have no role; an owner gives one by `cordonctl role grant`", u.Login, ErrForbidden))
	}
	d.know(u)
	t := Token{ID: c.ID, Kind: AdminToken, Secret: c.Secret, Created: d.now, Expires: d.now.Add(c.Life), By: d.actor, Holder: u.ID, SID: c.Who.SID}
	d.emit(TokenCreated{Token: t})
	d.record("admin.begin", t.ID, "login %s, roles %v, amr %v, acr %q, until %s", u.Login, d.state.RolesOf(u.ID), c.Who.AMR, c.Who.ACR, t.Expires.Format(time.RFC3339))
	d.result.Token, _ = d.state.Token(t.ID)
	d.result.User = u
	return nil
}
