package oidc_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

// pending answers each question for a device grant with the next of these, the
// last of them for ever: an error's code, "" for the token, or "down".
func (h *hostile) pending(answers ...string) (asked *[]time.Time) {
	asked = new([]time.Time)
	h.paths["/token"] = func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, time.Now())
		if r.Form.Get("device_code") != device || r.Form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" {
			h.t.Errorf("asked with %v", r.Form)
		}
		next := answers[min(len(*asked), len(answers))-1]
		switch next {
		case "":
			token := object{"id_token": h.idToken()}
			for k, v := range h.token {
				token[k] = v
			}
			answer(w, token)
		case "down":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			answer(w, object{"error": next})
		}
	}
	return asked
}

// inTime runs f in virtual time, with a provider that has no nonce to give.
func inTime(t *testing.T, f func(t *testing.T, h *hostile, p *oidc.Provider)) {
	synctest.Test(t, func(t *testing.T) {
		h := newHostile(t)
		h.config.Now = time.Now
		delete(h.claims, "nonce")
		h.claims["iat"], h.claims["exp"] = time.Now().Unix(), time.Now().Add(time.Hour).Unix()
		f(t, h, h.provider())
	})
}

func TestDeviceGrantIsWhatTheProviderSays(t *testing.T) {
	inTime(t, func(t *testing.T, h *hostile, p *oidc.Provider) {
		g, err := p.BeginGrant(t.Context(), time.Time{})
		if err != nil || g.URL != base+"/enter" || g.Code != "WDJB-MJHT" || !g.Until.Equal(time.Now().Add(10*time.Minute)) {
			t.Fatalf("got %+v, %v", g, err)
		}
		form := h.seen["/device"][0]
		if form.Get("client_id") != clientID || form.Get("scope") != "openid profile email" {
			t.Errorf("asked with %v", form)
		}
	})
}

// TestDeviceGrantIsAskedForAsWanted: each 5 s, 5 s more after slow_down, and
// ever more slowly while the provider is down.
func TestDeviceGrantIsAskedForAsWanted(t *testing.T) {
	inTime(t, func(t *testing.T, h *hostile, p *oidc.Provider) {
		began := time.Now()
		asked := h.pending("authorization_pending", "slow_down", "authorization_pending", "down", "down", "")
		g, err := p.BeginGrant(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		who, err := p.RedeemGrant(t.Context(), g)
		if err != nil || who.Login != "ada@example.org" {
			t.Errorf("got %+v, %v", who, err)
		}
		var at []time.Duration
		for _, a := range *asked {
			at = append(at, a.Sub(began)/time.Second)
		}
		if want := []time.Duration{5, 10, 20, 30, 40, 60}; !slices.Equal(at, want) {
			t.Errorf("asked at seconds %d, want %d", at, want)
		}
	})
}

// TestDeviceGrantIsAskedForNoSooner than a provider says, also while it is down.
func TestDeviceGrantIsAskedForNoSooner(t *testing.T) {
	for interval, want := range map[any][]time.Duration{nil: {5, 15}, 0: {5, 15}, -7: {5, 15}, 120: {120, 240}} {
		inTime(t, func(t *testing.T, h *hostile, p *oidc.Provider) {
			began := time.Now()
			asked := h.pending("down", "")
			h.paths["/device"] = func(w http.ResponseWriter, _ *http.Request) {
				answer(w, object{"device_code": device, "user_code": "WDJB-MJHT", "verification_uri": base + "/enter", "expires_in": 600, "interval": interval})
			}
			g, err := p.BeginGrant(t.Context(), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.RedeemGrant(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			for i, at := range *asked {
				if got := at.Sub(began) / time.Second; got != want[i] {
					t.Errorf("interval %v: question %d at second %d, not %d", interval, i, got, want[i])
				}
			}
		})
	}
}

func TestDeviceGrantEnds(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string
		life    time.Duration // of the caller
		want    string
		ours    error
		after   time.Duration
	}{
		"nobody enters the code": {[]string{"authorization_pending"}, time.Hour, "nobody entered the code in time", oidc.ErrUnproven, 10 * time.Minute},
		"the caller leaves":      {[]string{"authorization_pending"}, time.Minute, "deadline", oidc.ErrUnavailable, time.Minute},
		"the provider says so":   {[]string{"authorization_pending", "expired_token"}, time.Hour, "expired_token (sign in again)", nil, 10 * time.Second},
		"the person refuses":     {[]string{"access_denied"}, time.Hour, "access_denied", nil, 5 * time.Second},
		"it stays down":          {[]string{"down"}, time.Hour, "nobody entered the code in time", oidc.ErrUnproven, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, h *hostile, p *oidc.Provider) {
				h.pending(c.answers...)
				g, err := p.BeginGrant(t.Context(), time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, end := context.WithTimeout(t.Context(), c.life)
				defer end()
				began := time.Now()
				who, err := p.RedeemGrant(ctx, g)
				if who.Login != "" || err == nil || !strings.Contains(err.Error(), c.want) || c.ours != nil && !errors.Is(err, c.ours) || errors.As(err, new(*oidc.Denied)) != (c.ours == nil) {
					t.Errorf("got %+v, %v", who, err)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("it took %v, want %v", took, c.after)
				}
			})
		})
	}
}

// TestDeviceGrantsTokenIsJudged_A16: but for the nonce like any other.
func TestDeviceGrantsTokenIsJudged_A16(t *testing.T) {
	for name, change := range map[string]func(*hostile){
		"another audience": claim("aud", "payroll"),
		"another issuer":   claim("iss", issuer+"/"),
		"made long ago":    claim("iat", 946684800-12*60), // synctest's clock starts in 2000
		"ended":            claim("exp", 946684800-120),
		"not verified":     claim("email_verified", false),
		"another token's":  claim("at_hash", atHash("another")),
		"no algorithm":     func(h *hostile) { h.signer = unsigned() },
	} {
		inTime(t, func(t *testing.T, h *hostile, p *oidc.Provider) {
			h.pending("")
			g, err := p.BeginGrant(t.Context(), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			change(h)
			if who, err := p.RedeemGrant(t.Context(), g); !errors.Is(err, oidc.ErrUnproven) || who.Login != "" {
				t.Errorf("%s: got %+v, %v", name, who, err)
			}
		})
	}
}

// A device grant asks nobody to prove anew who they are, so the token must show that
// they did. Else, its person is told another way; and without that wish it may be silent.
func TestDeviceGrantAfresh_A22(t *testing.T) {
	began := func(ago time.Duration) any { return 946684800 - int64(ago.Seconds()) } // synctest's clock starts in 2000
	for name, c := range map[string]struct {
		afresh bool
		proved any
		says   string // empty: it is taken
	}{
		"afresh":                  {true, began(0), ""},
		"by a slow clock":         {true, began(time.Minute), ""},
		"remembered":              {true, began(61 * time.Second), "afresh"},
		"no time":                 {true, nil, "auth_time"},
		"remembered, and no wish": {false, began(time.Hour), ""},
		"of no time, and no wish": {false, nil, ""},
	} {
		inTime(t, func(t *testing.T, h *hostile, p *oidc.Provider) {
			var since time.Time
			if c.afresh {
				since = time.Now()
			}
			h.pending("")
			g, err := p.BeginGrant(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			h.claims["auth_time"] = c.proved
			who, err := p.RedeemGrant(t.Context(), g)
			if c.says == "" && (err != nil || who.Login == "" || who.Undated != (c.proved == nil)) {
				t.Errorf("%s: got %+v, %v", name, who, err)
			}
			if c.says != "" && (!errors.Is(err, oidc.ErrUnproven) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "sign in without --device-code")) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestDeviceGrantMustFit(t *testing.T) {
	good := object{"device_code": device, "user_code": "WDJB-MJHT", "verification_uri": base + "/enter", "expires_in": 600, "interval": 5}
	for name, c := range map[string]struct {
		change object
		want   string
	}{
		"good":               {object{}, ""},
		"long":               {object{"expires_in": 86400}, ""},
		"page without TLS":   {object{"verification_uri": "http://login.example.org/enter"}, "must be https"},
		"page on loopback":   {object{"verification_uri": "http://127.0.0.1/enter"}, "must be https"},
		"page is a script":   {object{"verification_uri": "javascript:alert(1)"}, "must be https"},
		"page with blanks":   {object{"verification_uri": base + "/enter here"}, "must be https"},
		"page of a stranger": {object{"verification_uri": "https://login.example.org@evil.example/"}, "must be https"},
		"page without host":  {object{"verification_uri": "https:///enter"}, "must be https"},
		"no page":            {object{"verification_uri": nil}, "must be https"},
		"no code":            {object{"user_code": ""}, "no code"},
		"a code of lines":    {object{"user_code": "A\nB"}, "no code"},
		"no device code":     {object{"device_code": ""}, "no code"},
		"no end":             {object{"expires_in": 0}, "no end"},
		"an end before":      {object{"expires_in": -1}, "no end"},
		"another type":       {object{"expires_in": "soon"}, "cannot be read"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHostile(t)
			h.config.Now = time.Now
			h.paths["/device"] = func(w http.ResponseWriter, _ *http.Request) {
				said := object{}
				for _, from := range []object{good, c.change} {
					for k, v := range from {
						said[k] = v
					}
				}
				answer(w, said)
			}
			g, err := h.provider().BeginGrant(t.Context(), time.Time{})
			if c.want == "" {
				if err != nil || g.Until.After(time.Now().Add(30*time.Minute)) {
					t.Errorf("%s: %v until %v", name, err, g)
				}
			} else if !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestWithoutDeviceGrant(t *testing.T) {
	h := newHostile(t)
	unsaid("device_authorization_endpoint")(h)
	if _, err := h.provider().BeginGrant(t.Context(), time.Time{}); !errors.Is(err, oidc.ErrUnavailable) || !strings.Contains(err.Error(), "offers no device grant") {
		t.Error(err)
	}
	for _, g := range []*oidc.Grant{nil, {}} {
		if _, err := h.provider().RedeemGrant(t.Context(), g); !errors.Is(err, oidc.ErrUnproven) {
			t.Error(err)
		}
	}
}
