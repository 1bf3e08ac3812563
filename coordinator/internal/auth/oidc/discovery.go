package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// shelfLife is how long what a provider says of itself is used before it is
// asked again: endpoints move when hospitals do.
const shelfLife = 24 * time.Hour

// metadata is what a provider says of itself (OpenID Connect Discovery 1.0
// section 3), checked.
type metadata struct {
	provider   *goidc.Provider
	keys       goidc.KeySet
	oauth      oauth2.Config
	algorithms []string // in which it signs, and that we take
}

// announced are the parts of a discovery document that go-oidc does not give.
type announced struct {
	Keys       string   `json:"jwks_uri"`
	Methods    []string `json:"token_endpoint_auth_methods_supported"`
	Algorithms []string `json:"id_token_signing_alg_values_supported"`
}

// algorithms are those whose keys a provider can publish without giving away
// the power to sign. In any other, whoever reads the key set could write tokens.
func algorithms() []string {
	return []string{goidc.RS256, goidc.RS384, goidc.RS512, goidc.PS256, goidc.PS384, goidc.PS512,
		goidc.ES256, goidc.ES384, goidc.ES512, goidc.EdDSA}
}

// metadata gives what the provider says of itself, asking if need be. One asks
// at a time; who waited while the asking failed does not ask again.
func (p *Provider) metadata(ctx context.Context) (*metadata, error) {
	came := p.config.Now()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, p.unavailable("wait for the discovery", ctx.Err())
	}
	if p.failure != nil && p.asked.After(came) {
		return nil, p.failure
	}
	if age := p.config.Now().Sub(p.asked); p.known != nil && age >= 0 && age < shelfLife {
		return p.known, nil
	}
	return p.ask(ctx)
}

// ask is metadata's, whose turn guards the fields.
func (p *Provider) ask(ctx context.Context) (*metadata, error) {
	found, err := p.discover(goidc.ClientContext(ctx, p.client))
	switch {
	case err == nil:
		p.known, p.failure, p.asked = found, nil, p.config.Now()
	case p.known != nil:
		p.config.Log.Warn("the identity provider's discovery failed: what it said before is used on", "error", err)
	case ctx.Err() == nil: // else somebody left, which says nothing about the provider
		p.failure, p.asked = err, p.config.Now()
	}
	if p.known == nil {
		return nil, err
	}
	return p.known, nil
}

func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	found, err := goidc.NewProvider(ctx, p.config.Issuer)
	if other := new(goidc.IssuerMismatchError); errors.As(err, &other) {
		return nil, p.unfit("its discovery names the issuer %q: if that is the provider meant, configure exactly this, also at a final slash", clip(other.Discovered))
	}
	if err != nil {
		return nil, p.unavailable("read the discovery", err)
	}
	var a announced
	if err := found.Claims(&a); err != nil {
		return nil, p.unavailable("read the discovery", err)
	}
	if err := p.checkEndpoints(found, a); err != nil {
		return nil, err
	}
	m := &metadata{provider: found, algorithms: permitted(a.Algorithms)}
	if len(m.algorithms) == 0 {
		return nil, p.unfit("it signs by none of %s: let it sign ID tokens by RS256", strings.Join(algorithms(), ", "))
	}
	m.oauth = oauth2.Config{ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret,
		Scopes: p.config.Scopes, RedirectURL: p.config.RedirectURL, Endpoint: found.Endpoint()}
	m.oauth.Endpoint.AuthStyle, err = p.style(a.Methods)
	// Keys are fetched for all who wait, so in a goroutine that may outlive each of
	// them: by no more than patience, which ends every request.
	m.keys = goidc.NewRemoteKeySet(goidc.ClientContext(context.Background(), p.client), a.Keys)
	return m, err
}

// unfit says what a provider's discovery lacks, and what to do.
func (p *Provider) unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, p.config.Issuer, fmt.Sprintf(format, args...))
}

// checkEndpoints holds every address to TLS: what it answers is believed, and
// secrets go there.
func (p *Provider) checkEndpoints(found *goidc.Provider, a announced) error {
	at := found.Endpoint()
	for _, e := range []struct {
		name, url string
		needed    bool
	}{
		{"authorization_endpoint", at.AuthURL, true},
		{"token_endpoint", at.TokenURL, true},
		{"jwks_uri", a.Keys, true},
		{"device_authorization_endpoint", at.DeviceAuthURL, false},
		{"userinfo_endpoint", found.UserInfoEndpoint(), false},
	} {
		u, err := url.Parse(e.url)
		switch {
		case e.url == "" && e.needed:
			return p.unfit("its discovery names no %s: is this the issuer of an OpenID Connect provider?", e.name)
		case e.url != "" && (err != nil || !secure(u, p.loopback)):
			return p.unfit("its %s is %q: it must be https", e.name, clip(e.url))
		}
	}
	return nil
}

// permitted gives which of a provider's algorithms we take. Where it names none,
// it is the one that all must have (OpenID Connect Core section 3.1.3.7, step 7).
func permitted(announced []string) []string {
	if len(announced) == 0 {
		return []string{goidc.RS256}
	}
	return slices.DeleteFunc(algorithms(), func(a string) bool { return !slices.Contains(announced, a) })
}

// style says how the client's secret travels. To try one way and then the other,
// as x/oauth2 would, sends a code twice, which a provider may take for theft
// (RFC 6749 section 4.1.2). Where the provider says nothing, it is Basic (OpenID
// Connect Discovery section 3).
func (p *Provider) style(methods []string) (oauth2.AuthStyle, error) {
	switch {
	case p.config.ClientSecret == "", !slices.Contains(methods, "client_secret_basic") && slices.Contains(methods, "client_secret_post"):
		return oauth2.AuthStyleInParams, nil
	case methods == nil || slices.Contains(methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, nil
	}
	return 0, p.unfit("it takes no client secret: permit client_secret_basic or client_secret_post")
}
