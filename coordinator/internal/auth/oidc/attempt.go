package oidc

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// attemptLife is how long a sign-in may take, from its first page to its end.
const attemptLife = 10 * time.Minute

// maxCode bounds, in bytes, what a browser brings as code.
const maxCode = 4096

// Attempt is one authorization request. Its secrets are the caller's to draw, at
// 128 random bits or more each.
type Attempt struct {
	State    string // 22 to 255 of the letters, digits and -._~ of RFC 3986
	Nonce    string // likewise
	Verifier string // likewise, 43 to 128 (RFC 7636 section 4.1)

	Afresh bool          // the person must prove themselves again, whatever the provider remembers
	MaxAge time.Duration // how long ago, at Begun, the proof may lie; zero with Afresh is not at all, else any time
	Begun  time.Time     // when the attempt began; zero is at most 10 minutes ago, the life of an attempt

	ACR  []string // levels of which the proof must have one; nil is any
	Hint string   // login that the provider may fill in
}

// Format prints nothing of the secrets, whatever the verb.
func (Attempt) Format(f fmt.State, _ rune) { fmt.Fprint(f, "oidc.Attempt(hidden)") }

// LogValue is what a log shows of an Attempt, also one that encodes as JSON.
func (a Attempt) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(a)) }

// AuthURL gives where a browser is sent, to come back with a code and a.State. It
// fails with ErrUnavailable, and with ErrUnproven if a is not as Attempt says.
func (p *Provider) AuthURL(ctx context.Context, a Attempt) (string, error) {
	if err := a.check(); err != nil {
		return "", err
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}
	return m.oauth.AuthCodeURL(a.State, a.options()...), nil
}

func (a Attempt) options() []oauth2.AuthCodeOption {
	set := oauth2.SetAuthURLParam
	o := []oauth2.AuthCodeOption{set("nonce", a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if a.Afresh {
		o = append(o, set("prompt", "login"))
	}
	if a.dated() {
		o = append(o, set("max_age", strconv.FormatInt(int64(a.MaxAge/time.Second), 10)))
	}
	if len(a.ACR) > 0 {
		o = append(o, set("acr_values", strings.Join(a.ACR, " ")))
	}
	if a.Hint != "" {
		o = append(o, set("login_hint", a.Hint))
	}
	return o
}

// Redeem turns the code that a browser brought back into who its person is. It
// fails with ErrUnavailable, ErrUnproven or a *Denied. The caller has compared the
// state, and uses a once.
func (p *Provider) Redeem(ctx context.Context, code string, a Attempt) (registry.Identity, error) {
	if err := a.check(); err != nil {
		return registry.Identity{}, err
	}
	if code == "" || len(code) > maxCode {
		return registry.Identity{}, unproven("the browser came back with no code, or with one of more than %d bytes", maxCode)
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return registry.Identity{}, err
	}
	token, err := m.oauth.Exchange(p.with(ctx), code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return registry.Identity{}, p.refused("redeem the code", err, code, a.Verifier)
	}
	return p.prove(ctx, m, token, demand{nonce: a.Nonce, since: a.since(p.config.Now()), acr: a.ACR})
}

// dated tells whether the time of the proof matters.
func (a Attempt) dated() bool { return a.Afresh || a.MaxAge > 0 }

// since gives when the person must have proved themselves at the earliest; zero
// is any time.
func (a Attempt) since(now time.Time) time.Time {
	if !a.dated() {
		return time.Time{}
	}
	begun := now.Add(-attemptLife)
	if a.Begun.After(begun) {
		begun = a.Begun
	}
	return begun.Add(-a.MaxAge)
}

// check refuses an attempt whose secrets are none. A nonce of no letters would
// equal the nonce of a token that has none.
func (a Attempt) check() error {
	switch {
	case !isSecret(a.State, 22, maxText), !isSecret(a.Nonce, 22, maxText), !isSecret(a.Verifier, 43, 128):
		return unproven("the attempt's secrets are not as long as they must be, or of other characters")
	case a.MaxAge < 0:
		return unproven("the attempt's greatest age is %v", a.MaxAge)
	case a.Hint != "" && !isWord(a.Hint):
		return unproven("the login %q is no word", clip(a.Hint))
	}
	for _, level := range a.ACR {
		if !isWord(level) {
			return unproven("the level %q is no word", clip(level))
		}
	}
	return nil
}

// isSecret tells whether s is shortest to longest unreserved characters.
func isSecret(s string, shortest, longest int) bool {
	return len(s) >= shortest && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~", r))
	})
}
