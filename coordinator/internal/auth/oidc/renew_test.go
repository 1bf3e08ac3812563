package oidc_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

const refresh = "the-refresh-token-of-a-person"

// A real provider is asked again and again, with the token that it gave last, until
// it no longer stands by the person.
func TestRenewWithARealProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReal(t)
		p, a := r.provider("web"), attempt("a")
		to, err := p.AuthURL(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		who, err := p.Redeem(t.Context(), r.signIn(to, "ada").Get("code"), a)
		if err != nil || who.Standing == "" {
			t.Fatalf("%+v, %v", who, err)
		}
		for range 3 {
			time.Sleep(5 * time.Minute)
			again, err := p.Renew(t.Context(), who.Standing)
			if err != nil || again.Subject != who.Subject || again.Login != who.Login || !slices.Equal(again.Groups, who.Groups) || !again.At.Equal(who.At) {
				t.Fatalf("%+v, %v; signed in as %+v", again, err, who)
			}
		}
		r.left = true
		denied := new(oidc.Denied)
		if _, err := p.Renew(t.Context(), who.Standing); !errors.As(err, &denied) || denied.Code != "invalid_grant" {
			t.Errorf("of somebody who left: %v", err)
		}
		p.Release(who.Standing)
		if _, err := p.Renew(t.Context(), who.Standing); !errors.Is(err, oidc.ErrUnproven) {
			t.Errorf("after it was let go: %v", err)
		}
	})
}

// renewal gives a provider that lies from the second answer on.
func renewal(t *testing.T) (*hostile, func() (registry.Identity, error)) {
	t.Helper()
	h := newHostile(t)
	h.token["refresh_token"] = refresh
	p := h.provider()
	who, err := p.Redeem(t.Context(), code, h.attempt)
	if err != nil || who.Standing == "" || strings.Contains(fmt.Sprintf("%+v", who), refresh) {
		t.Fatalf("%+v, %v", who, err)
	}
	delete(h.claims, "nonce")
	return h, func() (registry.Identity, error) { return p.Renew(t.Context(), who.Standing) }
}

func TestRenewalSaysWhoIsWho_A16(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*hostile)
		want   error
		groups []string
	}{
		"other groups":        {claim("groups", []string{"chiefs"}), nil, []string{"chiefs"}},
		"no groups any more":  {without("groups"), nil, nil},
		"no ID token":         {func(h *hostile) { h.token["id_token"] = "" }, nil, nil},
		"another person":      {claim("sub", "another"), oidc.ErrUnproven, nil},
		"another issuer":      {claim("iss", "https://other"), oidc.ErrUnproven, nil},
		"for another client":  {claim("aud", "other"), oidc.ErrUnproven, nil},
		"an old token":        {claim("iat", noon.Add(-time.Hour).Unix()), oidc.ErrUnproven, nil},
		"another's signature": {func(h *hostile) { h.signer = es256(h.t) }, oidc.ErrUnproven, nil},
		"an error of its own": {func(h *hostile) {
			h.paths["/token"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		}, oidc.ErrUnavailable, nil},
		"words of a proxy": {func(h *hostile) {
			h.paths["/token"] = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, "<html>invalid_grant</html>")
			}
		}, oidc.ErrUnavailable, nil},
	} {
		h, renew := renewal(t)
		c.change(h)
		if who, err := renew(); !errors.Is(err, c.want) || !slices.Equal(who.Groups, c.groups) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// The token that came last is sent, and none is in what is told.
func TestRefreshTokensRotateUnseen_A44(t *testing.T) {
	h, renew := renewal(t)
	h.token["refresh_token"] = "the-second-one"
	for range 2 {
		if _, err := renew(); err != nil {
			t.Fatal(err)
		}
	}
	asked := h.seen["/token"]
	if first, second := asked[1].Get("refresh_token"), asked[2].Get("refresh_token"); first != refresh || second != "the-second-one" {
		t.Errorf("asked with %q, then %q", first, second)
	}
	h.paths["/token"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant","error_description":"no the-second-one is known"}`)
	}
	denied := new(oidc.Denied)
	if _, err := renew(); !errors.As(err, &denied) || denied.Code != "invalid_grant" || strings.Contains(err.Error(), "the-second-one") {
		t.Errorf("%v", err)
	}
}
