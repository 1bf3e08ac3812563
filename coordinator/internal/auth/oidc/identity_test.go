package oidc_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
)

// TestUnverifiedAddressIsNoLogin_A15: whoever may write any address into their
// account at the provider would else sign in as its owner.
func TestUnverifiedAddressIsNoLogin_A15(t *testing.T) {
	refuse(t, oidc.ErrUnproven, []lie{
		{"not verified", claim("email_verified", false), "email_verified=false: have the person confirm"},
		{"not verified, as a string", claim("email_verified", "false"), "is no boolean"},
		{"verified, as a string", claim("email_verified", "true"), "is no boolean"},
		{"not said", without("email_verified"), "does not say whether it verified"},
		{"null", claim("email_verified", nil), "does not say whether it verified"},
		{"a number", claim("email_verified", 1), "is no boolean"},
		{"another word", claim("email_verified", "TRUE"), "is no boolean"},
		{"a list", claim("email_verified", []bool{true}), "is no boolean"},
		{"verified under another name", func(h *hostile) { h.claims["email_verified"], h.claims["Email_Verified"] = false, true }, "email_verified=false"},
	})
}

func TestLoginIsAWord_A43(t *testing.T) {
	refuse(t, oidc.ErrUnproven, []lie{
		{"empty", claim("email", ""), "a login is a word"},
		{"a list", claim("email", []string{"ada@example.org"}), "a login is a word"},
		{"a blank", claim("email", "ada @example.org"), "a login is a word"},
		{"a line's end", claim("email", "ada@example.org\n"), "a login is a word"},
		{"a NUL", claim("email", "ada\x00@example.org"), "a login is a word"},
		{"a sign of direction", claim("email", "\u202eada@example.org"), "a login is a word"},
		{"a letter that becomes another", claim("email", "\u212aada@example.org"), "a login is a word"}, // the Kelvin sign
		{"a letter that looks like another", claim("email", "\u0430da@example.org"), "a login is a word"},
		{"too long", claim("email", strings.Repeat("a", 250)+"@b.org"), "a login is a word"},
		{"no address", claim("email", "ada"), "no address"},
		{"two addresses", claim("email", "ada@example.org@evil.example"), "no address"},
		{"a domain alone", claim("email", "@example.org"), "no address"},
		{"an address without a domain", claim("email", "ada@"), "no address"},
	})
}

func TestSubjectIsBounded(t *testing.T) {
	refuse(t, oidc.ErrUnproven, []lie{
		{"none", without("sub"), `"sub"`},
		{"empty", claim("sub", ""), `"sub"`},
		{"a number", claim("sub", 7), ""},
		{"huge", claim("sub", strings.Repeat("a", 256)), `"sub"`},
		{"a control character", claim("sub", "a\nb"), `"sub"`},
		{"not ASCII", claim("sub", "ädä"), `"sub"`},
		{"under another name", func(h *hostile) { delete(h.claims, "sub"); h.claims["Sub"] = "1" }, `"sub"`},
	})
}

func TestGroupsAreBounded(t *testing.T) {
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprint("group ", i)
	}
	refuse(t, oidc.ErrUnproven, []lie{
		{"too many", claim("groups", many), "1001 groups"},
		{"a number", claim("groups", 7), "neither a string nor a list"},
		{"numbers", claim("groups", []int{7}), "neither a string nor a list"},
		{"an object", claim("groups", object{"nurses": true}), "neither a string nor a list"},
	})
	h := newHostile(t)
	h.claims["groups"] = many[:1000]
	if who, err := h.redeem(); err != nil || len(who.Groups) != 1000 {
		t.Errorf("1000 groups: %d, %v", len(who.Groups), err)
	}
}

// One group may be a text. An empty one, as some providers send for nobody's groups, is
// none, and shuts nobody out.
func TestGroupsOfAnyForm(t *testing.T) {
	for name, c := range map[string]struct {
		claim any
		want  []string
		told  bool
	}{
		"a text":        {"Ward 3", []string{"Ward 3"}, false},
		"a list":        {[]string{"nurses", "Ward 3", "nurses"}, []string{"Ward 3", "nurses"}, false},
		"no list":       {[]string{}, nil, false},
		"null":          {nil, nil, false},
		"an empty text": {"", nil, true},
	} {
		h := newHostile(t)
		var log bytes.Buffer
		h.config.Log = slog.New(slog.NewTextHandler(&log, nil))
		h.claims["groups"] = c.claim
		who, err := h.redeem()
		if err != nil || !slices.Equal(who.Groups, c.want) || strings.Contains(log.String(), "do not count") != c.told {
			t.Errorf("%s: groups %q, %v; the log says %s", name, who.Groups, err, log.String())
		}
	}
	h := newHostile(t)
	delete(h.claims, "groups")
	if who, err := h.redeem(); err != nil || len(who.Groups) > 0 {
		t.Errorf("without the claim: groups %q, %v", who.Groups, err)
	}
}

// Whoever may name groups at the provider locks nobody out by that, and makes no
// group that looks like another.
func TestOddGroupsDoNotCount_A43(t *testing.T) {
	for name, odd := range map[string]string{
		"too long": strings.Repeat("g", 256), "empty": "", "a control character": "nurses\n", "not a character": "nurses\ufffd",
		"a sign of direction": "nur\u202eses", "a sign without width": "nurses\u200b", "a soft hyphen": "nur\u00adses", "another blank": "ward\u20033",
	} {
		h := newHostile(t)
		var log bytes.Buffer
		h.config.Log = slog.New(slog.NewTextHandler(&log, nil))
		h.claims["groups"] = []string{"ward 3", odd, "doctors"}
		who, err := h.redeem()
		if err != nil || !slices.Equal(who.Groups, []string{"doctors", "ward 3"}) {
			t.Errorf("%s: groups %q, %v", name, who.Groups, err)
		}
		if !strings.Contains(log.String(), "do not count") || !strings.Contains(log.String(), "ada@example.org") || strings.ContainsAny(log.String(), "\u202e\u200b\u00ad") {
			t.Errorf("%s: the log says %s", name, log.String())
		}
	}
	h := newHostile(t)
	h.claims["name"] = "A\ufffdda\u202e"
	if who, err := h.redeem(); err != nil || who.Name != "Ada" {
		t.Errorf("the name %q, %v", who.Name, err)
	}
}

// TestGroupsElsewhereAreNotNone_A18: a forbid by group would not hold for just those
// people who are in the most groups.
func TestGroupsElsewhereAreNotNone_A18(t *testing.T) {
	refuse(t, oidc.ErrUnproven, []lie{
		{"too many for the token", func(h *hostile) {
			delete(h.claims, "groups")
			h.claims["_claim_names"] = object{"groups": "src1"}
			h.claims["_claim_sources"] = object{"src1": object{"endpoint": "https://graph.example.org/users/1/getMemberObjects"}}
		}, "too many for its token"},
		{"names that are none", claim("_claim_names", object{"groups": "src1"}), "claims cannot be read"},
	})
}

func TestMethodsAreAListOfWords(t *testing.T) {
	refuse(t, oidc.ErrUnproven, []lie{
		{"a string", claim("amr", "pwd"), "list of strings"},
		{"numbers", claim("amr", []int{1}), "list of strings"},
		{"a blank", claim("amr", []string{"pwd otp"}), "amr"},
		{"too many", claim("amr", strings.Split(strings.Repeat("a", 33), "")), "amr"},
	})
}

// bare is a provider whose ID token does not have the login.
func bare(h *hostile) {
	delete(h.claims, "email")
	delete(h.claims, "email_verified")
	h.userinfo = object{"sub": h.claims["sub"], "email": "Ada@example.org", "email_verified": true, "groups": []string{"all"}, "name": "Ada L."}
}

func TestUserinfoIsAskedForTheLoginAlone(t *testing.T) {
	h := newHostile(t)
	if _, err := h.redeem(); err != nil || len(h.seen["/userinfo"]) != 0 {
		t.Errorf("it was asked %d times though the token has all: %v", len(h.seen["/userinfo"]), err)
	}
	bare(h)
	who, err := h.redeem()
	if err != nil || who.Login != "ada@example.org" || who.Name != "Ada" || !reflect.DeepEqual(who.Groups, []string{"Ward 3", "nurses"}) {
		t.Errorf("got %+v, %v: what the token says counts", who, err)
	}
	delete(h.claims, "groups")
	delete(h.claims, "name")
	if who, err = h.redeem(); err != nil || who.Name != "Ada L." || !reflect.DeepEqual(who.Groups, []string{"all"}) {
		t.Errorf("got %+v, %v: where the token is silent the userinfo counts", who, err)
	}
	if n := len(h.seen["/userinfo"]); n != 2 {
		t.Errorf("asked %d times for two people", n)
	}
}

func TestUserinfoMustFit_A16(t *testing.T) {
	info := func(name string, value any) func(*hostile) {
		return func(h *hostile) { bare(h); h.userinfo[name] = value }
	}
	refuse(t, oidc.ErrUnproven, []lie{
		{"about another person", info("sub", "1"), "about another person"},
		{"about nobody", info("sub", nil), "about another person"},
		{"about the person under another name", func(h *hostile) {
			info("sub", "1")(h)
			h.userinfo["SUB"] = h.claims["sub"]
		}, "about another person"},
		{"not verified", info("email_verified", false), "email_verified=false"},
		{"verified by the other answer", func(h *hostile) {
			info("email_verified", nil)(h)
			h.claims["email_verified"] = true
			delete(h.userinfo, "email_verified")
		}, "does not say whether"},
		{"no login there either", info("email", nil), `neither its ID token nor its userinfo has the claim "email"`},
		{"not offered", func(h *hostile) { bare(h); delete(h.discovery, "userinfo_endpoint") }, `no claim "email"`},
	})
	refuse(t, oidc.ErrUnavailable, []lie{
		{"refused", func(h *hostile) { bare(h); h.paths["/userinfo"] = http.NotFound }, "404"},
		{"not JSON", func(h *hostile) {
			bare(h)
			h.paths["/userinfo"] = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }
		}, "cannot be read"},
	})
}

func TestErrorsSayWhoRefused(t *testing.T) {
	h := newHostile(t)
	h.paths["/token"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, object{"error": "invalid_client", "error_description": "unknown client"})
	}
	var denied *oidc.Denied
	_, err := h.redeem()
	if !errors.As(err, &denied) || denied.Code != "invalid_client" || !strings.Contains(err.Error(), "compare client ID and secret") {
		t.Errorf("got %v", err)
	}
}
