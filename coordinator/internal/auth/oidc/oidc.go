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
	"net/url"
	"time"
)

var (
	// ErrUnavailable: the provider could not be asked, or its answer is no
	// answer. Nothing was decided; a later attempt may do.
	ErrUnavailable = errors.New("the identity provider cannot be used")
	// ErrUnproven: the provider answered, and what it said does not prove who
	// somebody is. Another attempt will end alike until somebody changes something.
	ErrUnproven = errors.New("the identity provider did not prove who this is")
	// ErrBelow: likewise, of somebody whose proof has none of the levels of an Attempt.
	ErrBelow = errors.New("your provider did not ask for the stronger proof")
)

// Denied is the provider's own refusal (RFC 6749 section 5.2, RFC 8628 section
// 3.5), in its words: printable, bounded, and without our secrets.
type Denied struct{ Code, Description string }

// Error gives the provider's words, and what to do.
func (d *Denied) Error() string {
	text := "the identity provider refused: " + d.Code
	if d.Description != "" {
		text += ": " + d.Description
	}
	if hint := d.hint(); hint != "" {
		text += " (" + hint + ")"
	}
	return text
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

	// ExternalClaim says what a directory that provisions people calls this one; "" is
	// the subject. Nobody may choose another's; who has none there has no record.
	ExternalClaim string

	RedirectURL string // where the provider sends browsers back to

	Rows Rows // where refresh tokens of a client with a secret outlive the process; nil: nowhere

	HTTP *http.Client // its Transport and Timeout are used; nil is one of our own
	Now  func() time.Time
	Log  *slog.Logger
}

// Format prints the issuer alone: the client's secret must not slip into a log.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "oidc.Config(%s)", c.Issuer) }

// LogValue is what a log shows of a Config, also one that encodes as JSON.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Provider is one OpenID Connect provider. Its methods may be called at once.
type Provider struct {
	config   Config
	client   *http.Client
	loopback bool // the provider is on this machine

	vault vault

	turn chan struct{} // of one: whoever fills it may use the fields below

	known   *metadata // nil before the first answer
	failure error     // of the last asking
	asked   time.Time
}

// New checks a configuration. It asks nobody: a provider that is down must not
// stop a coordinator.
func New(config Config) (*Provider, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	issuer, err := url.Parse(config.Issuer)
	if err != nil {
		return nil, err
	}
	loopback := issuer.Scheme == "http"
	seal, err := newSealer(config)
	if err != nil {
		return nil, err
	}
	return &Provider{config: config, client: newClient(config.HTTP, loopback), loopback: loopback, turn: make(chan struct{}, 1),
		vault: vault{rows: config.Rows, seal: seal, log: config.Log, held: map[string]*held{}, of: map[string]string{}}}, nil
}

// Close lets go of the connections to the provider that nobody uses.
func (p *Provider) Close() { p.client.CloseIdleConnections() }
