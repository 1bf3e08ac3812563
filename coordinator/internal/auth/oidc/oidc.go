// Package oidc lets an OpenID Connect provider prove who a person is: it is the
// relying party of OpenID Connect Core 1.0, by authorization code with PKCE, and
// of RFC 8628 for machines without a browser.
//
// Its promises:
//
//   - An identity leaves this package only if every check of the provider's ID
//     token held: who signed it and how, for whom, for which attempt, when, and
//     when the person proved themselves. What is missing or malformed refuses.
//   - A provider that is down stops nothing: it is asked at the first use, and
//     again after a failure.
//   - What a provider sends is bounded in size, time and redirects, and asked for
//     over TLS alone; plain HTTP is for a provider on this machine's loopback.
//   - No secret is in an error or a log: not the client's, no code, verifier or
//     token, also if the provider repeats one in its own error.
//   - Errors say what an admin can do. They tell apart what nobody decided
//     ([ErrUnavailable]), what we refused ([ErrUnproven]) and what the provider
//     refused ([*Denied]).
//
// Signatures, key sets and their rotation are go-oidc's, the OAuth 2.0 requests
// x/oauth2's. The claims are checked here, all in one place and by their exact
// names: go-oidc reads them without regard to letter case, so that a claim named
// "SUB", which a provider may let people set, would overrule "sub".
//
// What it leaves to others: to draw an attempt's secrets, to keep them, to compare
// the state that comes back and to use it once (auth/signin); and what a person
// may do (the registry and the policy).
package oidc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

var (
	// ErrUnavailable: the provider could not be asked, or its answer is no
	// answer. Nothing was decided; a later attempt may do.
	ErrUnavailable = errors.New("the identity provider cannot be used")
	// ErrUnproven: the provider answered, and what it said does not prove who
	// somebody is. Another attempt will end alike until somebody changes something.
	ErrUnproven = errors.New("the identity provider did not prove who this is")
)

// Denied is the provider's own refusal (RFC 6749 section 5.2, RFC 8628 section
// 3.5), in its words: printable, bounded, and without our secrets.
type Denied struct{ Code, Description string }

// Error gives the provider's words.
func (d *Denied) Error() string {
	if d.Description == "" {
		return fmt.Sprintf("the identity provider refused: %s", d.Code)
	}
	return fmt.Sprintf("the identity provider refused: %s: %s", d.Code, d.Description)
}

// Config is one provider, as it knows us.
type Config struct {
	// Issuer is an https URL without query, byte for byte as the provider's tokens
	// name it, also at a final slash. http only for a loopback address.
	Issuer string

	ClientID     string
	ClientSecret string // empty for a public client

	Scopes []string // nil is openid, profile and email; openid is always asked for

	// LoginClaim holds a person's login; "" is "email", which counts only if the
	// provider verified it. Of any other claim the provider must see to it
	// that nobody chooses another's.
	LoginClaim string

	GroupsClaim string // "" is "groups"

	RedirectURL string // where the provider sends browsers back to

	HTTP *http.Client // its Transport and Timeout are used; nil is one of our own
	Now  func() time.Time
	Log  *slog.Logger
}

// Format prints the issuer alone: the client's secret must not slip into a log.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "oidc.Config(%s)", c.Issuer) }

// LogValue is what a log shows of a Config, also one that encodes as JSON.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

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
