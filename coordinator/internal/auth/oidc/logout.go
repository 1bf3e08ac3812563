package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// maxLogout bounds, in bytes, a logout token: whoever sends one need prove nothing.
const maxLogout = 16 << 10

// logoutEvent is the member that makes a token one of logout.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Logout is what a logout token says (OpenID Connect Back-Channel Logout 1.0 section
// 2.4). One of Subject and SID may be empty.
type Logout struct {
	ID      string // unique among the provider's
	Subject string
	SID     string    // the session at the provider
	Until   time.Time // it is refused from then on
}

// ReadLogout reads a logout token that somebody brought. It fails with ErrUnavailable
// and ErrUnproven. That each counts once is for the caller to see to.
func (p *Provider) ReadLogout(ctx context.Context, raw string) (Logout, error) {
	if raw == "" || len(raw) > maxLogout {
		return Logout{}, unproven("there is no logout token, or one of more than %d bytes", maxLogout)
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return Logout{}, err
	}
	_, c, err := p.signed(ctx, m, raw)
	if err != nil {
		return Logout{}, err
	}
	j := judge{issuer: p.config.Issuer, client: p.config.ClientID, now: p.config.Now()}
	for _, check := range []func(claims) error{j.checkIssuer, j.checkAudience, j.checkTimes, checkLogout} {
		if err := check(c); err != nil {
			return Logout{}, unproven("it is no logout token: %v", err)
		}
	}
	return Logout{ID: c.text("jti"), Subject: c.text("sub"), SID: c.text("sid"), Until: j.now.Add(freshness + 2*leeway)}, nil
}

// checkLogout is section 2.6, steps 4 to 7: what tells a logout token from an ID
// token, with which anybody's browser could else sign people out.
func checkLogout(c claims) error {
	var events map[string]json.RawMessage
	var event map[string]json.RawMessage
	_, nonce := c["nonce"]
	switch {
	case json.Unmarshal(c["events"], &events) != nil || json.Unmarshal(events[logoutEvent], &event) != nil || event == nil:
		return errors.New("it has no event of logout")
	case nonce:
		return errors.New("it has a nonce, as ID tokens have")
	case !isWord(c.text("jti")):
		return errors.New("it has no id (jti)")
	case !c.has("sub") && !c.has("sid"):
		return errors.New("it names neither a person (sub) nor a session (sid)")
	case c.has("sid") && !isWord(c.text("sid")):
		return errors.New("its sid is no word")
	case c.has("sub"):
		return checkSubject(c)
	}
	return nil
}
