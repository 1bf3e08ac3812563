package oidc_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

// forms gives secrets in each form in which they travel.
func forms(secrets ...string) (list []string) {
	for _, s := range secrets {
		list = append(list, s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(clientID+":"+url.QueryEscape(s))))
	}
	return list
}

// secretsOf are all that must be in no error.
func secretsOf(h *hostile) []string {
	return forms(h.config.ClientSecret, code, device, access, h.attempt.Verifier)
}

func keeps(t *testing.T, h *hostile, what string, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error", what)
	}
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, s := range secretsOf(h) {
		if strings.Contains(text, s) {
			t.Errorf("%s: the error holds %q: %s", what, s, text)
		}
	}
	if len(err.Error()) > 1000 || strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%s: not fit for a line of a log: %q", what, err)
	}
}

// TestErrorsHoldNoSecret_A44: a provider's error repeats all that it was sent, in
// each form, and each endpoint does.
func TestErrorsHoldNoSecret_A44(t *testing.T) {
	for name, say := range map[string]func(w http.ResponseWriter, echo string){
		"an error's description": func(w http.ResponseWriter, echo string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			answer(w, object{"error": "invalid_grant", "error_description": echo, "error_uri": echo})
		},
		"an error's code": func(w http.ResponseWriter, echo string) { answer(w, object{"error": echo}) },
		"an error as a form": func(w http.ResponseWriter, echo string) {
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, url.Values{"error": {"x"}, "error_description": {echo}}.Encode())
		},
		"a page":               func(w http.ResponseWriter, echo string) { w.WriteHeader(http.StatusBadGateway); fmt.Fprint(w, echo) },
		"a page that succeeds": func(w http.ResponseWriter, echo string) { fmt.Fprint(w, echo) },
		"a token of another type": func(w http.ResponseWriter, echo string) {
			answer(w, object{"access_token": access, "id_token": echo, "expires_in": echo, "device_code": []string{echo}})
		},
		"an ID token":     func(w http.ResponseWriter, echo string) { answer(w, object{"access_token": access, "id_token": echo}) },
		"no access token": func(w http.ResponseWriter, echo string) { answer(w, object{"id_token": echo}) },
		"another address": func(w http.ResponseWriter, echo string) {
			w.Header().Set("Location", base+"/?"+url.QueryEscape(echo))
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
	} {
		h := newHostile(t)
		h.config.ClientSecret = "a secret/with+signs"
		bare(h)
		for path, sent := range map[string][]string{
			"/userinfo": {access}, "/keys": {code, access}, "/device": {h.config.ClientSecret}, "/token": {h.config.ClientSecret, code, h.attempt.Verifier},
		} {
			h.paths = map[string]http.HandlerFunc{path: func(w http.ResponseWriter, _ *http.Request) { say(w, strings.Join(forms(sent...), "\n")) }}
			p := h.provider()
			_, err := p.Redeem(t.Context(), code, h.attempt)
			if path == "/device" {
				_, err = p.BeginGrant(t.Context(), time.Time{})
			}
			keeps(t, h, name+" at "+path, err)
		}
	}
}

func TestErrorOfADeviceGrantHoldsNoSecret_A44(t *testing.T) {
	inTime(t, func(t *testing.T, h *hostile, p *oidc.Provider) {
		g, err := p.BeginGrant(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		h.paths["/token"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			answer(w, object{"error": "access_denied", "error_description": strings.Join(forms(secret, device), "\n")})
		}
		_, err = p.RedeemGrant(t.Context(), g)
		keeps(t, h, "a grant", err)
	})
}

func TestProvidersWordsAreBounded(t *testing.T) {
	h := newHostile(t)
	h.paths["/token"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		answer(w, object{"error": strings.Repeat("ä", 150), "error_description": strings.Repeat("\x1b[31m\u202e", 1000)})
	}
	_, err := h.redeem()
	keeps(t, h, "a long error", err)
	var denied *oidc.Denied
	if !errors.As(err, &denied) || len(denied.Code) > 210 || len(denied.Description) > 210 || !strings.HasPrefix(denied.Code, "ää") {
		t.Errorf("got %q", denied)
	}
}

func TestSecretsPrintNothing_A44(t *testing.T) {
	h := newHostile(t)
	p := h.provider()
	g, err := p.BeginGrant(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("a sign-in", "config", h.config, "attempt", h.attempt, "grant", g, "value", *g)
	}
	text := fmt.Sprintf("%s %v %+v %#v %v %+v %#v %v %+v %#v %v", &log, h.config, h.config, h.config, h.attempt, h.attempt, h.attempt, g, g, g, *g)
	for _, s := range append(secretsOf(h), h.attempt.State, h.attempt.Nonce) {
		if strings.Contains(text, s) {
			t.Errorf("%q is in %s", s, text)
		}
	}
}
