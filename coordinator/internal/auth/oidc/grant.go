package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// What a provider may ask of whoever waits for a device grant.
const (
	maxGrantLife = 30 * time.Minute
	interval     = 5  // seconds between two questions, where the provider says nothing (section 3.2)
	maxInterval  = 60 // likewise, of our own accord
)

// Grant is a device authorization under way (RFC 8628 section 3.2): a person
// enters Code at URL, with a browser anywhere.
type Grant struct {
	URL   string // https; to be shown in full, so that people see whose page it is
	Code  string // a word, and no secret to the person
	Until time.Time

	answer oauth2.DeviceAuthResponse // its device code is the secret of this grant
	since  time.Time                 // of the proof; zero is any time
}

// Format prints nothing of the device code, whatever the verb.
func (Grant) Format(f fmt.State, _ rune) { fmt.Fprint(f, "oidc.Grant(hidden)") }

// LogValue is what a log shows of a Grant, also one that encodes as JSON.
func (g Grant) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(g)) }

// BeginGrant asks for a code that a person can enter elsewhere, where they must prove
// who they are after since; zero is any time. It fails with ErrUnavailable or a *Denied.
// A device grant has no max_age, so that a provider may answer with what it remembers,
// which RedeemGrant then refuses.
func (p *Provider) BeginGrant(ctx context.Context, since time.Time) (*Grant, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return nil, err
	}
	if m.oauth.Endpoint.DeviceAuthURL == "" {
		return nil, p.unfit("it offers no device grant: sign in from a machine with a browser, or enable the grant for this client")
	}
	ctx, end := context.WithTimeout(ctx, p.client.Timeout)
	defer end()
	asClient, option := p.asClient(ctx, m)
	answer, err := m.oauth.DeviceAuth(asClient, option)
	if err != nil {
		return nil, p.refused("begin a device grant", err)
	}
	g, err := p.grant(*answer)
	if err == nil {
		g.since = since
	}
	return g, err
}

// asClient gives what a device grant's first request needs, which x/oauth2 sends
// with the client's name alone.
func (p *Provider) asClient(ctx context.Context, m *metadata) (context.Context, oauth2.AuthCodeOption) {
	a := authorize{ctx: ctx, next: p.client.Transport, id: p.config.ClientID, secret: p.config.ClientSecret}
	option := oauth2.SetAuthURLParam("client_id", a.id)
	if m.oauth.Endpoint.AuthStyle == oauth2.AuthStyleInParams && a.secret != "" {
		option, a.secret = oauth2.SetAuthURLParam("client_secret", a.secret), ""
	}
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: a, CheckRedirect: checkRedirect}), option
}

// authorize sends with the client's secret what x/oauth2 sends without, and
// ends it with ctx, which x/oauth2 does not ask: the first request of a device
// grant (RFC 8628 section 3.1 demands the client's authentication).
type authorize struct {
	ctx        context.Context
	next       http.RoundTripper
	id, secret string // empty if they go in the body
}

func (a authorize) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(a.ctx)
	if a.secret != "" {
		r.SetBasicAuth(url.QueryEscape(a.id), url.QueryEscape(a.secret))
	}
	return a.next.RoundTrip(r)
}

// grant checks what people will be shown, and bounds what we are to do.
func (p *Provider) grant(answer oauth2.DeviceAuthResponse) (*Grant, error) {
	life := time.Until(answer.Expiry)
	switch {
	case !p.isPage(answer.VerificationURI):
		return nil, p.unfit("the page for its codes is %q: it must be https", clip(answer.VerificationURI))
	case !isWord(answer.UserCode) || answer.DeviceCode == "":
		return nil, p.unfit("its device grant has no code that a person can enter")
	case life <= 0:
		return nil, p.unfit("its device grant has no end, or ended before it began")
	case life > maxGrantLife:
		life = maxGrantLife
		answer.Expiry = time.Now().Add(life)
	}
	return &Grant{URL: answer.VerificationURI, Code: answer.UserCode, Until: p.config.Now().Add(life), answer: answer}, nil
}

// isPage tells whether people may be sent to an address: over TLS, as the rest.
func (p *Provider) isPage(text string) bool {
	u, err := url.Parse(text)
	return err == nil && isWord(text) && u.Host != "" && u.User == nil && secure(u, p.loopback)
}

// RedeemGrant waits until the person has entered the code, and gives who it is.
// It asks as often as the provider wants to be asked, until ctx or g.Until ends. It
// fails with ErrUnavailable, ErrUnproven or a *Denied. The ID token bears no
// nonce, since nobody could send one: it comes from the provider itself, for our
// device code.
func (p *Provider) RedeemGrant(ctx context.Context, g *Grant) (registry.Identity, error) {
	if g == nil || g.answer.DeviceCode == "" {
		return registry.Identity{}, unproven("there is no device grant")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return registry.Identity{}, err
	}
	token, err := p.await(ctx, m, g.answer)
	if err != nil {
		return registry.Identity{}, err
	}
	return p.prove(ctx, m, token, demand{since: g.since, byCode: true})
}

// await goes on through failures of the network, ever more slowly, as RFC 8628
// section 3.5 demands after a time-out.
func (p *Provider) await(ctx context.Context, m *metadata, answer oauth2.DeviceAuthResponse) (*oauth2.Token, error) {
	if answer.Interval <= 0 {
		answer.Interval = interval
	}
	for {
		token, err := m.oauth.DeviceAccessToken(p.with(ctx), &answer)
		switch {
		case err == nil:
			return token, nil
		case ctx.Err() != nil:
			return nil, p.unavailable("wait for the device grant", ctx.Err())
		case !time.Now().Before(answer.Expiry):
			return nil, unproven("nobody entered the code in time: sign in again")
		}
		if err := p.refused("ask for the device grant", err, answer.DeviceCode); errors.As(err, new(*Denied)) {
			return nil, err
		}
		answer.Interval = max(answer.Interval, min(2*answer.Interval, maxInterval))
	}
}
