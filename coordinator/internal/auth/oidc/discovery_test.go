package oidc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

func said(name string, value any) func(*hostile) {
	return func(h *hostile) { h.discovery[name] = value }
}

func unsaid(name string) func(*hostile) {
	return func(h *hostile) { delete(h.discovery, name) }
}

// TestDiscoveryMustFit_A09: what a discovery document names gets our secret, and
// what it answers is believed.
func TestDiscoveryMustFit_A09(t *testing.T) {
	refuse(t, oidc.ErrUnavailable, []lie{
		{"another issuer", said("issuer", "https://other.example.org"), `names the issuer "https://other.example.org": if that is`},
		{"the issuer with a slash", said("issuer", issuer+"/"), "also at a final slash"},
		{"no issuer", unsaid("issuer"), "names the issuer"},
		{"authorization without TLS", said("authorization_endpoint", "http://login.example.org/authorize"), "authorization_endpoint"},
		{"tokens without TLS", said("token_endpoint", "http://login.example.org/token"), "token_endpoint"},
		{"tokens on loopback without TLS", said("token_endpoint", "http://127.0.0.1/token"), "token_endpoint"},
		{"keys without TLS", said("jwks_uri", "http://login.example.org/keys"), "jwks_uri"},
		{"keys in the document", said("jwks_uri", "data:application/json,{}"), "jwks_uri"},
		{"userinfo without TLS", said("userinfo_endpoint", "http://login.example.org/userinfo"), "userinfo_endpoint"},
		{"device grant without TLS", said("device_authorization_endpoint", "http://login.example.org/device"), "device_authorization_endpoint"},
		{"no authorization", unsaid("authorization_endpoint"), "names no authorization_endpoint"},
		{"no tokens", unsaid("token_endpoint"), "names no token_endpoint"},
		{"no keys", unsaid("jwks_uri"), "names no jwks_uri"},
		{"no algorithm that we take", said("id_token_signing_alg_values_supported", []string{"HS256", "none"}), "sign ID tokens by RS256"},
		{"no client secret", said("token_endpoint_auth_methods_supported", []string{"private_key_jwt"}), "client_secret_basic"},
		{"another type", said("jwks_uri", 7), "cannot be read"},
		{"not JSON", func(h *hostile) {
			h.paths["/hospital/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }
		}, "cannot be read"},
		{"not there", func(h *hostile) { h.paths["/hospital/.well-known/openid-configuration"] = http.NotFound }, "404 Not Found"},
		{"keys not there", func(h *hostile) { h.paths["/keys"] = http.NotFound }, "fetch the keys at " + issuer + ": it answers 404 Not Found"},
		{"keys that are none", func(h *hostile) { h.keys = []object{{"kty": 7}} }, "fetch the keys"},
	})
}

func TestWithoutAlgorithmsItIsRS256(t *testing.T) {
	refuse(t, oidc.ErrUnproven, []lie{
		{"ES256", unsaid("id_token_signing_alg_values_supported"), "signed by one of RS256)"},
	})
	h := newHostile(t)
	unsaid("id_token_signing_alg_values_supported")(h)
	h.signer, _, _ = rsaKeys(t)
	h.publish("k1")
	if _, err := h.redeem(); err != nil {
		t.Error(err)
	}
}

// TestSecretTravelsAsTheProviderWants, once: a code that is sent twice may be
// taken for a stolen one.
func TestSecretTravelsAsTheProviderWants(t *testing.T) {
	for name, c := range map[string]struct {
		methods any
		secret  string
		basic   bool
	}{
		"nothing said":  {nil, secret, true},
		"both":          {[]string{"client_secret_post", "client_secret_basic"}, secret, true},
		"in the body":   {[]string{"client_secret_post"}, secret, false},
		"public client": {[]string{"private_key_jwt"}, "", false},
	} {
		h := newHostile(t)
		h.config.ClientSecret = c.secret
		if c.methods != nil {
			h.discovery["token_endpoint_auth_methods_supported"] = c.methods
		}
		check := func(w http.ResponseWriter, r *http.Request) {
			id, password, basic := r.BasicAuth()
			if !basic {
				id, password = r.Form.Get("client_id"), r.Form.Get("client_secret")
			}
			if basic != c.basic || id != clientID || password != c.secret {
				t.Errorf("%s: %s got %q, %q, Basic %v", name, r.URL.Path, id, password, basic)
			}
			w.WriteHeader(http.StatusBadRequest)
		}
		h.paths["/token"], h.paths["/device"] = check, check
		if _, err := h.redeem(); err == nil {
			t.Error("a refusal was taken for a token")
		}
		if _, err := h.provider().BeginGrant(t.Context(), time.Time{}); err == nil {
			t.Error("a refusal was taken for a grant")
		}
		if n := len(h.seen["/token"]); n != 1 {
			t.Errorf("%s: the code was sent %d times", name, n)
		}
	}
}

func TestProviderThatIsDownIsAskedAgain(t *testing.T) {
	h := newHostile(t)
	down := true
	h.paths["/hospital/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) {
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answer(w, h.discovery)
	}
	p := h.provider()
	if _, err := p.AuthURL(t.Context(), h.attempt); !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Errorf("while it is down: %v", err)
	}
	down = false
	for range 3 {
		if _, err := p.Redeem(t.Context(), code, h.attempt); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	}
	if n := len(h.seen["/hospital/.well-known/openid-configuration"]); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if n := len(h.seen["/keys"]); n != 1 {
		t.Errorf("keys fetched %d times", n)
	}
}

func TestDiscoveryIsRefreshedAndSurvivesAFailure(t *testing.T) {
	h := newHostile(t)
	var log bytes.Buffer
	h.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	now := noon
	h.config.Now = func() time.Time { return now }
	p := h.provider()
	where := func() string {
		t.Helper()
		to, err := p.AuthURL(t.Context(), h.attempt)
		if err != nil {
			t.Fatal(err)
		}
		return strings.SplitN(to, "?", 2)[0]
	}
	where()
	h.discovery["authorization_endpoint"] = base + "/moved"
	if got := where(); got != base+"/authorize" {
		t.Errorf("asked again at once: %s", got)
	}
	now = now.Add(25 * time.Hour)
	if got := where(); got != base+"/moved" {
		t.Errorf("after a day: %s", got)
	}
	h.discovery["authorization_endpoint"] = base + "/again"
	now = now.Add(-time.Second) // a clock that is set back makes no answer eternal
	if got := where(); got != base+"/again" {
		t.Errorf("after the clock went back: %s", got)
	}
	now = now.Add(25 * time.Hour)
	h.paths["/hospital/.well-known/openid-configuration"] = http.NotFound
	if got := where(); got != base+"/again" || !strings.Contains(log.String(), "404 Not Found") {
		t.Errorf("while it is down: %s, and the log says %q", got, &log)
	}
}

// TestManyWaitForOneDiscovery: who waited while the asking failed gets its
// failure, and one who leaves takes no other along.
func TestManyWaitForOneDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(t)
		h.config.Now = time.Now
		h.paths["/hospital/.well-known/openid-configuration"] = func(_ http.ResponseWriter, r *http.Request) { until(r.Context()) }
		p := h.provider()
		impatient, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		done := make(chan error, 10)
		ask := func(ctx context.Context) { _, err := p.AuthURL(ctx, h.attempt); done <- err }
		go ask(impatient)
		synctest.Wait()
		for range 9 {
			go ask(t.Context())
		}
		began := time.Now()
		for range 10 {
			if err := <-done; !errors.Is(err, oidc.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != 16*time.Second {
			t.Errorf("ten took %v: one second for the one who left, and one request for all others", took)
		}
	})
}
