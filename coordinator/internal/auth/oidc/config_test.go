package oidc_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*oidc.Config)
		want   string // "" is accepted
	}{
		"good":                     {func(*oidc.Config) {}, ""},
		"an issuer with a slash":   {func(c *oidc.Config) { c.Issuer += "/" }, ""},
		"an issuer on loopback":    {func(c *oidc.Config) { c.Issuer = "http://127.0.0.1:8080/x" }, ""},
		"an issuer on localhost":   {func(c *oidc.Config) { c.Issuer = "http://localhost:8080" }, ""},
		"a redirect with a query":  {func(c *oidc.Config) { c.RedirectURL += "?mesh=1" }, ""},
		"a public client":          {func(c *oidc.Config) { c.ClientSecret = "" }, ""},
		"no issuer":                {func(c *oidc.Config) { c.Issuer = "" }, "issuer is missing"},
		"an issuer without TLS":    {func(c *oidc.Config) { c.Issuer = "http://login.example.org" }, "begin with https://"},
		"an issuer like loopback":  {func(c *oidc.Config) { c.Issuer = "http://127.0.0.1.example.org" }, "begin with https://"},
		"an issuer with a query":   {func(c *oidc.Config) { c.Issuer += "?a=b" }, "no query"},
		"an issuer with a part":    {func(c *oidc.Config) { c.Issuer += "#a" }, "is not an address"},
		"an issuer with a person":  {func(c *oidc.Config) { c.Issuer = "https://a:b@login.example.org" }, "is not an address"},
		"an issuer without host":   {func(c *oidc.Config) { c.Issuer = "https:///hospital" }, "is not an address"},
		"an issuer with a blank":   {func(c *oidc.Config) { c.Issuer += " x" }, "is not an address"},
		"an issuer that is a name": {func(c *oidc.Config) { c.Issuer = "login.example.org" }, "is not an address"},
		"no redirect":              {func(c *oidc.Config) { c.RedirectURL = "" }, "redirect URL is missing"},
		"a redirect without TLS":   {func(c *oidc.Config) { c.RedirectURL = "http://mesh.example.org/x" }, "begin with https://"},
		"no client":                {func(c *oidc.Config) { c.ClientID = "" }, "client ID"},
		"a client of blanks":       {func(c *oidc.Config) { c.ClientID = "a b" }, "client ID"},
		"a scope of two":           {func(c *oidc.Config) { c.Scopes = []string{"email groups"} }, "scope"},
	} {
		h := newHostile(t)
		c.change(&h.config)
		switch p, err := oidc.New(h.config); {
		case c.want == "" && (err != nil || p == nil):
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || p != nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestAuthorizationRequest(t *testing.T) {
	h := newHostile(t)
	challenge := sha256.Sum256([]byte(h.attempt.Verifier)) // RFC 7636 section 4.2
	plain := url.Values{"tenant": {"7"}, "response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {h.config.RedirectURL},
		"scope": {"openid profile email"}, "state": {h.attempt.State}, "nonce": {h.attempt.Nonce}, "code_challenge_method": {"S256"},
		"code_challenge": {encode(challenge[:])}}
	for name, c := range map[string]struct {
		change func(h *hostile)
		more   url.Values
	}{
		"plain":           {func(*hostile) {}, nil},
		"afresh":          {func(h *hostile) { h.attempt.Afresh = true }, url.Values{"prompt": {"login"}, "max_age": {"0"}}},
		"afresh, of late": {func(h *hostile) { h.attempt.Afresh, h.attempt.MaxAge = true, 90*time.Second }, url.Values{"prompt": {"login"}, "max_age": {"90"}}},
		"of late":         {func(h *hostile) { h.attempt.MaxAge = time.Minute }, url.Values{"max_age": {"60"}}},
		"of a level":      {func(h *hostile) { h.attempt.ACR = []string{"loa2", "loa3"} }, url.Values{"acr_values": {"loa2 loa3"}}},
		"of somebody":     {func(h *hostile) { h.attempt.Hint = "ada@example.org" }, url.Values{"login_hint": {"ada@example.org"}}},
		"other scopes":    {func(h *hostile) { h.config.Scopes = []string{"groups", "openid"} }, url.Values{"scope": {"openid groups"}}},
	} {
		h := newHostile(t)
		h.discovery["authorization_endpoint"] = base + "/authorize?tenant=7"
		c.change(h)
		to, err := h.provider().AuthURL(t.Context(), h.attempt)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{}
		for _, from := range []url.Values{plain, c.more} {
			for k, v := range from {
				want[k] = v
			}
		}
		if got := u.Query(); got.Encode() != want.Encode() || u.Host != "login.example.org" || u.Path != "/authorize" {
			t.Errorf("%s:\ngot  %v\nwant %v", name, got, want)
		}
	}
}

func TestCodeIsRedeemedWithItsVerifier(t *testing.T) {
	h := newHostile(t)
	if _, err := h.redeem(); err != nil {
		t.Fatal(err)
	}
	want := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {h.config.RedirectURL}, "code_verifier": {h.attempt.Verifier}}
	if got := h.seen["/token"][0]; got.Encode() != want.Encode() {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestAttemptWithoutSecretsIsRefused_A16: its nonce would equal that of any token
// without one. The provider is not even asked.
func TestAttemptWithoutSecretsIsRefused_A16(t *testing.T) {
	for name, change := range map[string]func(*oidc.Attempt){
		"none at all":     func(a *oidc.Attempt) { *a = oidc.Attempt{} },
		"no state":        func(a *oidc.Attempt) { a.State = "" },
		"no nonce":        func(a *oidc.Attempt) { a.Nonce = "" },
		"a short nonce":   func(a *oidc.Attempt) { a.Nonce = a.Nonce[1:] },
		"a long state":    func(a *oidc.Attempt) { a.State = strings.Repeat("s", 256) },
		"a short proof":   func(a *oidc.Attempt) { a.Verifier = a.Verifier[1:] },
		"a long proof":    func(a *oidc.Attempt) { a.Verifier = strings.Repeat("v", 129) },
		"another letter":  func(a *oidc.Attempt) { a.Nonce = strings.Repeat("+", 22) },
		"a negative age":  func(a *oidc.Attempt) { a.MaxAge = -1 },
		"a hint of lines": func(a *oidc.Attempt) { a.Hint = "a\nb" },
		"a level of two":  func(a *oidc.Attempt) { a.ACR = []string{"loa2 loa3"} },
		"a level of none": func(a *oidc.Attempt) { a.ACR = []string{""} },
	} {
		h := newHostile(t)
		h.claims["nonce"] = ""
		change(&h.attempt)
		p := h.provider()
		_, asking := p.AuthURL(t.Context(), h.attempt)
		_, redeeming := p.Redeem(t.Context(), code, h.attempt)
		if !errors.Is(asking, oidc.ErrUnproven) || !errors.Is(redeeming, oidc.ErrUnproven) || len(h.seen) != 0 {
			t.Errorf("%s: %v, %v, asked %v", name, asking, redeeming, h.seen)
		}
	}
}

func TestCodeIsBounded(t *testing.T) {
	for _, c := range []string{"", strings.Repeat("c", 4097)} {
		h := newHostile(t)
		if _, err := h.provider().Redeem(t.Context(), c, h.attempt); !errors.Is(err, oidc.ErrUnproven) || len(h.seen) != 0 {
			t.Errorf("a code of %d bytes: %v, asked %v", len(c), err, h.seen)
		}
	}
}

// TestCallersClientIsLeftAlone: its redirects and cookies are not ours to set,
// and its time-out is kept.
func TestCallersClientIsLeftAlone(t *testing.T) {
	h := newHostile(t)
	given := &http.Client{Transport: h.config.HTTP.Transport, Timeout: time.Minute}
	before := *given
	h.config.HTTP = given
	if _, err := h.redeem(); err != nil {
		t.Fatal(err)
	}
	if given.CheckRedirect != nil || given.Jar != nil || given.Timeout != before.Timeout || given.Transport != before.Transport {
		t.Errorf("it was changed to %+v", given)
	}
}
