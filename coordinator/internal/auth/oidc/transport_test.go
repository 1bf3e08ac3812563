package oidc_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
}

func TestRedirectsAreFewAndKeepTLS_A09(t *testing.T) {
	elsewhere := func(path, to string) func(*hostile) {
		return func(h *hostile) { bare(h); h.paths[path] = redirect(to) }
	}
	refuse(t, oidc.ErrUnavailable, []lie{
		{"endless", elsewhere("/hospital/.well-known/openid-configuration", issuer+"/.well-known/openid-configuration"), "redirects more than 3 times"},
		{"out of TLS", elsewhere("/hospital/.well-known/openid-configuration", "http://login.example.org/discovery"), "without TLS"},
		{"to loopback", elsewhere("/keys", "http://127.0.0.1/keys"), "without TLS"},
		{"to a file", elsewhere("/keys", "file:///etc/passwd"), "without TLS"},
		{"of a code", elsewhere("/token", "https://other.example.org/token"), "carries a secret"},
		{"of a client's secret in the body", func(h *hostile) {
			h.discovery["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
			h.paths["/token"] = redirect("https://other.example.org/token")
		}, "carries a secret"},
		{"of an access token", elsewhere("/userinfo", base+"/other"), "carries a secret"},
		{"to nowhere", func(h *hostile) {
			h.paths["/keys"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }
		}, "it answers 302"},
	})
	h := newHostile(t)
	h.paths["/keys"] = redirect(base + "/1")
	h.paths["/1"], h.paths["/2"] = redirect(base+"/2"), redirect(base+"/3")
	h.paths["/3"] = func(w http.ResponseWriter, _ *http.Request) { answer(w, object{"keys": h.keys}) }
	if _, err := h.redeem(); err != nil {
		t.Errorf("three redirects: %v", err)
	}
	h = newHostile(t)
	h.paths["/keys"] = redirect(base + "/1")
	h.paths["/1"], h.paths["/2"], h.paths["/3"] = redirect(base+"/2"), redirect(base+"/3"), redirect(base+"/4")
	h.paths["/4"] = func(w http.ResponseWriter, _ *http.Request) { answer(w, object{"keys": h.keys}) }
	if _, err := h.redeem(); !errors.Is(err, oidc.ErrUnavailable) {
		t.Errorf("four redirects: %v", err)
	}
	h = newHostile(t)
	bare(h)
	h.paths["/userinfo"] = redirect(base + "/other")
	if _, err := h.redeem(); err == nil || len(h.seen["/userinfo"]) != 1 || len(h.seen["/other"]) != 0 {
		t.Errorf("an access token was sent on %d times (%v)", len(h.seen["/other"]), err)
	}
}

func TestAnswersAreBounded_A09(t *testing.T) {
	flood := func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(strings.Repeat(" ", 512<<10+1)))
	}
	var lies []lie
	for _, path := range []string{"/hospital/.well-known/openid-configuration", "/keys", "/token", "/userinfo"} {
		lies = append(lies, lie{path, func(h *hostile) { bare(h); h.paths[path] = flood }, "more than 512 KiB"})
	}
	refuse(t, oidc.ErrUnavailable, lies)

	h := newHostile(t)
	h.paths["/device"] = flood
	if _, err := h.provider().BeginGrant(t.Context(), time.Time{}); !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), "more than 512 KiB") {
		t.Errorf("a device grant: %v", err)
	}
}

// TestSlowAnswersEnd_A09: with the caller's context, and without it after 15 s.
func TestSlowAnswersEnd_A09(t *testing.T) {
	slow := func(_ http.ResponseWriter, r *http.Request) { until(r.Context()) }
	for _, path := range []string{"/hospital/.well-known/openid-configuration", "/keys", "/token", "/userinfo", "/device"} {
		for patience, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: 15 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				h := newHostile(t)
				bare(h)
				h.paths[path] = slow
				ctx, end := context.WithTimeout(t.Context(), patience)
				defer end()
				began := time.Now()
				p := h.provider()
				_, err := p.Redeem(ctx, code, h.attempt)
				if path == "/device" {
					_, err = p.BeginGrant(ctx, time.Time{})
				}
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, oidc.ErrUnavailable) || took != want {
					t.Errorf("%s: %v after %v", path, err, took)
				}
				time.Sleep(15 * time.Second) // go-oidc fetches keys for whoever asks next, to that end
			})
		}
	}
}

// onLoopback is the hostile provider behind a real socket, and a client of ours
// that was given no transport.
func onLoopback(t *testing.T, wrap func(http.Handler) http.Handler) *hostile {
	t.Helper()
	return onLoopbackWith(t, func(s *httptest.Server) { s.Config.Handler = wrap(s.Config.Handler) })
}

func onLoopbackWith(t *testing.T, change func(*httptest.Server)) *hostile {
	t.Helper()
	h := newHostile(t)
	server := httptest.NewUnstartedServer(h)
	change(server)
	server.Start()
	t.Cleanup(server.Close)
	for name, value := range h.discovery {
		if text, ok := value.(string); ok {
			h.discovery[name] = strings.Replace(text, base, server.URL, 1)
		}
	}
	h.config.Issuer = h.discovery["issuer"].(string)
	h.claims["iss"] = h.config.Issuer
	h.config.HTTP = nil
	return h
}

func TestOwnClient(t *testing.T) {
	h := onLoopback(t, func(h http.Handler) http.Handler { return h })
	if _, err := h.redeem(); err != nil {
		t.Errorf("a provider on loopback: %v", err)
	}
}

// TestPackedAnswersAreBounded_A09: a few hundred bytes that unpack to a megabyte.
func TestPackedAnswersAreBounded_A09(t *testing.T) {
	h := onLoopback(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/keys" {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			io.CopyN(z, blanks{}, 1<<20)
			z.Close()
		})
	})
	if _, err := h.redeem(); !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), "more than 512 KiB") {
		t.Error(err)
	}
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestLinkLocalIsNoProvider_A09: cloud machines keep their credentials there.
func TestLinkLocalIsNoProvider_A09(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "224.0.0.1", "0.0.0.0"} {
		h := newHostile(t)
		h.config.Issuer, h.config.HTTP = "https://"+host+"/hospital", nil
		if _, err := h.redeem(); !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), "link-local") {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestUnknownCertificateIsNamed(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	h := newHostile(t)
	h.config.Issuer, h.config.HTTP = server.URL, nil
	if _, err := h.redeem(); !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), "let this machine trust") {
		t.Error(err)
	}
}
