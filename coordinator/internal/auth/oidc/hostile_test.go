package oidc_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const (
	issuer   = "https://login.example.org/hospital"
	base     = "https://login.example.org"
	clientID = "cordon"
	secret   = "the-secret-of-this-client"
	code     = "the-code-that-a-browser-brought"
	access   = "the-access-token-of-a-person"
	device   = "the-device-code-of-a-machine"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// hostile is a provider that lies in one point. What it says is in its fields,
// which a test changes before it asks.
type hostile struct {
	t testing.TB

	discovery object
	keys      []object
	signer    signer
	header    object // of the ID token
	claims    object // of the ID token
	token     object // the token endpoint's answer, to which the ID token is added
	userinfo  object
	paths     map[string]http.HandlerFunc // instead of what stands below
	seen      map[string][]url.Values     // the forms of what was asked, by path

	config  oidc.Config
	attempt oidc.Attempt
}

func newHostile(t testing.TB) *hostile {
	t.Helper()
	h := &hostile{t: t, signer: es256(t), paths: map[string]http.HandlerFunc{}, seen: map[string][]url.Values{},
		header: object{"kid": "k1", "typ": "JWT"},
		discovery: object{
			"issuer": issuer, "authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
			"jwks_uri": base + "/keys", "userinfo_endpoint": base + "/userinfo", "device_authorization_endpoint": base + "/device",
			"id_token_signing_alg_values_supported": []string{"RS256", "PS256", "ES256", "EdDSA", "HS256", "none"},
		},
		token: object{"access_token": access, "token_type": "Bearer", "expires_in": 300},
		attempt: oidc.Attempt{State: strings.Repeat("s", 22), Nonce: strings.Repeat("n", 22), Verifier: strings.Repeat("v", 43),
			Begun: noon.Add(-2 * time.Minute)},
	}
	h.publish("k1")
	h.claims = object{"iss": issuer, "sub": "248289761001", "aud": clientID, "exp": noon.Add(time.Hour).Unix(), "iat": noon.Unix(),
		"nonce": h.attempt.Nonce, "email": "ada@example.org", "email_verified": true, "name": "Ada", "groups": []string{"Ward 3", "nurses"}}
	h.config = oidc.Config{Issuer: issuer, ClientID: clientID, ClientSecret: secret, RedirectURL: "https://mesh.example.org/login/callback",
		HTTP: &http.Client{Transport: inMemory{h}}, Now: func() time.Time { return noon }}
	return h
}

// publish makes the signer's key the one of the key set.
func (h *hostile) publish(kid string) {
	jwk := maps.Clone(h.signer.jwk)
	jwk["kid"] = kid
	h.keys = []object{jwk}
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		h.t.Error(err)
	}
	h.seen[r.URL.Path] = append(h.seen[r.URL.Path], r.Form)
	if other := h.paths[r.URL.Path]; other != nil {
		other(w, r)
		return
	}
	switch r.URL.Path {
	case "/hospital/.well-known/openid-configuration":
		answer(w, h.discovery)
	case "/keys":
		answer(w, object{"keys": h.keys})
	case "/token":
		token := maps.Clone(h.token)
		if _, said := token["id_token"]; !said {
			token["id_token"] = h.idToken()
		}
		answer(w, token)
	case "/userinfo":
		answer(w, h.userinfo)
	case "/device":
		answer(w, object{"device_code": device, "user_code": "WDJB-MJHT", "verification_uri": base + "/enter", "expires_in": 600, "interval": 5})
	default:
		http.NotFound(w, r)
	}
}

func (h *hostile) idToken() string {
	header := maps.Clone(h.header)
	if _, said := header["alg"]; !said {
		header["alg"] = h.signer.alg
	}
	return h.signer.token(h.t, header, h.claims)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (h *hostile) provider() *oidc.Provider {
	h.t.Helper()
	p, err := oidc.New(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// redeem asks anew for everything.
func (h *hostile) redeem() (registry.Identity, error) {
	h.t.Helper()
	return h.provider().Redeem(h.t.Context(), code, h.attempt)
}

// inMemory brings requests to a handler without a network, so that virtual time
// goes on while they wait.
type inMemory struct{ http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	m.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	res := w.Result()
	res.Request = r
	return res, nil
}

// atHash is OpenID Connect Core section 3.1.3.6, for algorithms of SHA-256.
func atHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encode(sum[:16])
}

// until waits as a slow provider does: for whoever asked to give up.
func until(ctx context.Context) { <-ctx.Done() }
