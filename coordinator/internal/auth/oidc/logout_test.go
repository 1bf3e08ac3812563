package oidc_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// newLogout makes what the provider signs next a logout token.
func newLogout(t *testing.T) *hostile {
	t.Helper()
	h := newHostile(t)
	h.claims = object{"iss": issuer, "aud": clientID, "iat": noon.Unix(), "exp": noon.Add(2 * time.Minute).Unix(), "jti": "j1",
		"sub": "248289761001", "sid": "s-1", "events": object{logoutEvent: object{}}}
	h.header["typ"] = "logout+jwt"
	return h
}

func (h *hostile) logout() (oidc.Logout, error) {
	h.t.Helper()
	return h.provider().ReadLogout(h.t.Context(), h.idToken())
}

func TestLogoutTokenIsRead(t *testing.T) {
	for name, change := range map[string]func(*hostile){
		"whole": func(*hostile) {}, "of a person alone": without("sid"), "of a session alone": without("sub"),
		"with more in it": claim("events", object{logoutEvent: object{"x": 1}, "y": object{}}),
	} {
		h := newLogout(t)
		change(h)
		out, err := h.logout()
		sub, _ := h.claims["sub"].(string)
		sid, _ := h.claims["sid"].(string)
		if err != nil || out.Subject != sub || out.SID != sid || out.ID != "j1" || !out.Until.After(noon.Add(10*time.Minute)) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

// Whatever is no logout token of the provider's for us, now, signs nobody out.
func TestWhatIsNoLogoutToken_A16(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*hostile)
		want   string
	}{
		"an ID token":          {func(h *hostile) { h.claims["nonce"] = "n"; delete(h.claims, "events") }, "event"},
		"with a nonce":         {claim("nonce", "n"), "nonce"},
		"with a null nonce":    {claim("nonce", nil), "nonce"},
		"no event":             {without("events"), "event"},
		"another event":        {claim("events", object{"urn:other": object{}}), "event"},
		"event of a text":      {claim("events", object{logoutEvent: "yes"}), "event"},
		"event null":           {claim("events", object{logoutEvent: nil}), "event"},
		"events of a list":     {claim("events", []string{logoutEvent}), "event"},
		"no id":                {without("jti"), "jti"},
		"id of a number":       {claim("jti", 7), "jti"},
		"nobody":               {func(h *hostile) { delete(h.claims, "sub"); delete(h.claims, "sid") }, "neither"},
		"sub of a number":      {claim("sub", 7), "sub"},
		"sid of a list":        {claim("sid", []string{"s"}), "sid"},
		"another issuer":       {claim("iss", issuer+"/"), "issuer"},
		"for another client":   {claim("aud", "other"), "client"},
		"made for another":     {claim("azp", "other"), "azp"},
		"old":                  {claim("iat", noon.Add(-time.Hour).Unix()), "clock"},
		"of tomorrow":          {claim("iat", noon.Add(time.Hour).Unix()), "clock"},
		"without a time":       {without("iat"), "iat"},
		"over":                 {claim("exp", noon.Add(-2*time.Minute).Unix()), "clock"},
		"without an end":       {without("exp"), "exp"},
		"of another's key":     {func(h *hostile) { h.signer = es256(h.t) }, "signed"},
		"signed by nobody":     {func(h *hostile) { h.signer = unsigned() }, "signed"},
		"signed by our secret": {func(h *hostile) { h.signer = hs256([]byte(secret)) }, "signed"},
	} {
		h := newLogout(t)
		c.change(h)
		if out, err := h.logout(); !errors.Is(err, oidc.ErrUnproven) || !strings.Contains(err.Error(), c.want) || out != (oidc.Logout{}) {
			t.Errorf("%s: %+v, %v; want %q", name, out, err, c.want)
		}
	}
	h := newLogout(t)
	for _, raw := range []string{"", "x", "a.b.c", strings.Repeat("x", 17<<10)} {
		if _, err := h.provider().ReadLogout(t.Context(), raw); !errors.Is(err, oidc.ErrUnproven) {
			t.Errorf("%.10q: %v", raw, err)
		}
	}
	h.paths["/keys"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	if _, err := h.logout(); !errors.Is(err, oidc.ErrUnavailable) {
		t.Errorf("without keys: %v", err)
	}
}
