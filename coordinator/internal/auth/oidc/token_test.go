package oidc_test

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/oidc"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// lie is one change to a provider that is believed without it, and what our
// refusal says of it.
type lie struct {
	name   string
	change func(h *hostile)
	want   string
}

// refuse tells each lie apart from the others: the same provider without it is
// believed.
func refuse(t *testing.T, ours error, lies []lie) {
	t.Helper()
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			h := newHostile(t)
			if _, err := h.redeem(); err != nil {
				t.Fatalf("without the lie: %v", err)
			}
			l.change(h)
			who, err := h.redeem()
			if !errors.Is(err, ours) || !strings.Contains(err.Error(), l.want) {
				t.Fatalf("got %v\nwant %q of %q", err, l.want, ours)
			}
			if !reflect.DeepEqual(who, registry.Identity{}) {
				t.Errorf("a refused token gave %+v", who)
			}
		})
	}
}

func claim(name string, value any) func(*hostile) {
	return func(h *hostile) { h.claims[name] = value }
}

func without(name string) func(*hostile) {
	return func(h *hostile) { delete(h.claims, name) }
}

func TestIdentityIsWhatTheTokenSays(t *testing.T) {
	h := newHostile(t)
	h.claims["email"] = "Ada@Example.ORG"
	h.claims["auth_time"] = noon.Add(-time.Minute).Unix()
	h.claims["amr"] = []string{"pwd", "otp", "pwd"}
	h.claims["acr"] = "urn:example:loa2"
	h.claims["at_hash"] = atHash(access)
	who, err := h.redeem()
	want := registry.Identity{Issuer: issuer, Subject: "248289761001", External: "248289761001", Login: "ada@example.org", Name: "Ada",
		Groups: []string{"Ward 3", "nurses"}, Heard: noon, At: noon.Add(-time.Minute), AMR: []string{"otp", "pwd"}, ACR: "urn:example:loa2"}
	if err != nil || !reflect.DeepEqual(who, want) {
		t.Errorf("got %+v, %v\nwant %+v", who, err, want)
	}
}

func TestTokensBeliefs(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *hostile)
		see    func(registry.Identity) bool
	}{
		{"when the proof has no time, that of the token counts", claim("iat", noon.Add(-5*time.Minute).Unix()),
			func(who registry.Identity) bool { return who.At.Equal(noon.Add(-5 * time.Minute)) }},
		{"a provider's fast clock prolongs nothing", claim("auth_time", noon.Add(50*time.Second).Unix()),
			func(who registry.Identity) bool { return who.At.Equal(noon) }},
		{"clocks may differ by a minute", func(h *hostile) {
			h.claims["iat"], h.claims["exp"] = noon.Add(-2*time.Minute).Unix(), noon.Add(-30*time.Second).Unix()
		}, nil},
		{"a time may have a fraction", claim("exp", float64(noon.Unix())+60.5), nil},
		{"several audiences, made for us", func(h *hostile) { h.claims["aud"], h.claims["azp"] = []string{"api", clientID}, clientID }, nil},
		{"one audience in a list", claim("aud", []string{clientID}), nil},
		{"no groups", without("groups"), func(who registry.Identity) bool { return who.Groups == nil }},
		{"one group as a string", claim("groups", "nurses"), func(who registry.Identity) bool { return reflect.DeepEqual(who.Groups, []string{"nurses"}) }},
		{"groups elsewhere that are not asked for", func(h *hostile) {
			h.claims["_claim_names"], h.claims["_claim_sources"] = object{"roles": "src1"}, object{"src1": object{"endpoint": "https://graph.example.org"}}
		}, nil},
		{"no name", without("name"), func(who registry.Identity) bool { return who.Name == "" }},
		{"a name with what cannot be seen", claim("name", "A\u202eda\n\x00"), func(who registry.Identity) bool { return who.Name == "Ada" }},
		{"a name that is long", claim("name", strings.Repeat("ä", 200)), func(who registry.Identity) bool { return who.Name == strings.Repeat("ä", 127) }},
		{"a claim that is null is none", claim("acr", nil), nil},
		{"a login that is no address", func(h *hostile) {
			h.config.LoginClaim = "preferred_username"
			h.claims["preferred_username"], h.claims["email_verified"] = "Ada", false
		}, func(who registry.Identity) bool { return who.Login == "ada" }},
		{"a claim of the directory's", func(h *hostile) { h.config.ExternalClaim, h.claims["oid"] = "oid", "e-1" },
			func(who registry.Identity) bool { return who.External == "e-1" }},
		{"no claim of the directory's", func(h *hostile) { h.config.ExternalClaim = "oid" },
			func(who registry.Identity) bool { return who.External == "" }},
		{"a claim of groups with another name", func(h *hostile) { h.config.GroupsClaim, h.claims["roles"] = "roles", []string{"chief"} },
			func(who registry.Identity) bool { return reflect.DeepEqual(who.Groups, []string{"chief"}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHostile(t)
			c.change(h)
			if who, err := h.redeem(); err != nil || c.see != nil && !c.see(who) {
				t.Errorf("got %+v, %v", who, err)
			}
		})
	}
}

func TestEachAlgorithmWeTake(t *testing.T) {
	rs256, ps256, _ := rsaKeys(t)
	for _, s := range []signer{rs256, ps256, es256(t), edDSA(t)} {
		h := newHostile(t)
		h.signer = s
		h.publish("k1")
		if _, err := h.redeem(); err != nil {
			t.Errorf("%s: %v", s.alg, err)
		}
	}
}

func TestTokenThatNobodyOfTheProviderSignedIsRefused_A16(t *testing.T) {
	_, _, public := rsaKeys(t)
	with := func(s signer, published bool) func(*hostile) {
		return func(h *hostile) {
			if h.signer = s; published {
				h.publish("k1")
			}
		}
	}
	refuse(t, oidc.ErrUnproven, []lie{
		{"no algorithm", with(unsigned(), false), "must be signed by one of"},
		{"the public key as a secret", with(hs256(public), false), "must be signed by one of"},
		{"a secret in the key set", with(hs256(public), true), "must be signed by one of"},
		{"an algorithm that the provider does not name", func(h *hostile) {
			h.discovery["id_token_signing_alg_values_supported"] = []string{"RS256"}
		}, "must be signed by one of RS256)"},
		{"another key of the same name", with(es256(t), false), "signed by none of its keys"},
		{"an unknown name of a key", func(h *hostile) { h.header["kid"] = "../../k1" }, "signed by none of its keys"},
		{"a key in the token's own header", func(h *hostile) {
			h.signer = es256(t)
			h.header["jwk"] = h.signer.jwk
		}, "signed by none of its keys"},
		{"a header that must be understood", func(h *hostile) { h.header["crit"], h.header["exp"] = []string{"exp"}, 1 }, "signed by none of its keys"},
		{"claims changed after the signature", func(h *hostile) {
			good := strings.Split(h.idToken(), ".")
			h.claims["email"] = "chief@example.org"
			h.token["id_token"] = good[0] + "." + strings.Split(h.idToken(), ".")[1] + "." + good[2]
		}, "signed by none of its keys"},
		{"no token", func(h *hostile) { h.token["id_token"] = "" }, "without an ID token"},
		{"no token but text", func(h *hostile) { h.token["id_token"] = "a.b" }, "cannot be read"},
		{"a token of another access token", claim("at_hash", atHash("another")), "at_hash"},
		{"a hash of nothing", claim("at_hash", ""), "at_hash"},
	})
}

func TestTokenForAnotherClientOrAttemptIsRefused_A16(t *testing.T) {
	refuse(t, oidc.ErrUnproven, []lie{
		{"another issuer", claim("iss", "https://other.example.org"), "of the issuer"},
		{"the issuer with a slash", claim("iss", issuer+"/"), "of the issuer"},
		{"the issuer in another case", claim("iss", "https://LOGIN.example.org/hospital"), "of the issuer"},
		{"no issuer", without("iss"), "of the issuer"},
		{"the right issuer under another name", func(h *hostile) { h.claims["iss"], h.claims["ISS"] = "https://other.example.org", issuer }, "of the issuer"},
		{"another audience", claim("aud", "payroll"), "not for the client"},
		{"no audience", without("aud"), `"aud"`},
		{"audiences without us", func(h *hostile) { h.claims["aud"], h.claims["azp"] = []string{"a", "b"}, clientID }, "not for the client"},
		{"our name as a part", claim("aud", "cordon2"), "not for the client"},
		{"made for another client", claim("azp", "payroll"), "azp"},
		{"several audiences, made for another", func(h *hostile) { h.claims["aud"], h.claims["azp"] = []string{clientID, "payroll"}, "payroll" }, "azp"},
		{"several audiences, made for nobody", claim("aud", []string{clientID, "payroll"}), "several audiences"},
		{"the nonce of another attempt", claim("nonce", strings.Repeat("m", 22)), "nonce"},
		{"no nonce", without("nonce"), "nonce"},
		{"the right nonce under another name", func(h *hostile) { delete(h.claims, "nonce"); h.claims["Nonce"] = h.attempt.Nonce }, "nonce"},
	})
}

func TestTokenOfAnotherTimeIsRefused_A16(t *testing.T) {
	at := func(name string, from time.Duration) func(*hostile) { return claim(name, noon.Add(from).Unix()) }
	refuse(t, oidc.ErrUnproven, []lie{
		{"ended", func(h *hostile) { at("exp", -61*time.Second)(h); at("iat", -5*time.Minute)(h) }, "ended at"},
		{"ended in milliseconds", claim("exp", noon.Unix()*1000*1000), "no time"},
		{"no end", without("exp"), `"exp"`},
		{"an end as a string", claim("exp", "1800000000"), `"exp"`},
		{"ends before it begins", func(h *hostile) { at("exp", 10*time.Second)(h); at("iat", 20*time.Second)(h) }, "before it begins"},
		{"made in the future", at("iat", 61*time.Second), "to come"},
		{"made long ago", at("iat", -12*time.Minute), "not for this attempt"},
		{"no time", without("iat"), `"iat"`},
		{"not yet", at("nbf", 61*time.Second), "nbf"},
		{"not yet, unreadably", claim("nbf", 1e15), "nbf"},
		{"proved in the future", at("auth_time", 61*time.Second), "to come"},
		{"proved at no time", claim("auth_time", "now"), `"auth_time"`},
		{"an end as a word", claim("exp", "soon"), "claims cannot be read"},
	})
}

func TestReplayedTokenIsRefused_A16(t *testing.T) {
	h := newHostile(t)
	h.token["id_token"] = h.idToken()
	if _, err := h.redeem(); err != nil {
		t.Fatal(err)
	}
	h.attempt.Nonce = strings.Repeat("o", 22)
	if _, err := h.redeem(); !errors.Is(err, oidc.ErrUnproven) {
		t.Errorf("the token of one attempt was taken in the next: %v", err)
	}
}

// TestProofMustBeAfresh_A22: a person at a browser that the provider remembers
// proves nothing afresh.
func TestProofMustBeAfresh_A22(t *testing.T) {
	afresh := func(ago, maxAge time.Duration) func(*hostile) {
		return func(h *hostile) {
			h.attempt.Afresh, h.attempt.MaxAge = true, maxAge
			h.claims["auth_time"] = noon.Add(-ago).Unix()
		}
	}
	for name, good := range map[string]func(*hostile){
		"after it began":       afresh(time.Minute, 0),
		"within its age":       afresh(6*time.Minute, 5*time.Minute),
		"by a slow clock":      afresh(3*time.Minute, 0),
		"of the wanted levels": func(h *hostile) { h.attempt.ACR, h.claims["acr"] = []string{"loa2", "loa3"}, "loa3" },
	} {
		h := newHostile(t)
		good(h)
		if _, err := h.redeem(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse(t, oidc.ErrUnproven, []lie{
		{"no time", func(h *hostile) { h.attempt.Afresh = true }, "auth_time"},
		{"no time of a null", func(h *hostile) { h.attempt.Afresh, h.claims["auth_time"] = true, nil }, "auth_time"},
		{"before it began", afresh(3*time.Minute+time.Second, 0), "afresh"},
		{"before its age", afresh(8*time.Minute+time.Second, 5*time.Minute), "afresh"},
		{"an age without afresh", func(h *hostile) {
			afresh(8*time.Minute+time.Second, 5*time.Minute)(h)
			h.attempt.Afresh = false
		}, "afresh"},
		{"an attempt of unknown beginning", func(h *hostile) {
			afresh(11*time.Minute+time.Second, 0)(h)
			h.attempt.Begun = time.Time{}
		}, "afresh"},
		{"another level", func(h *hostile) { h.attempt.ACR, h.claims["acr"] = []string{"loa2"}, "loa1" }, "level"},
		{"no level", func(h *hostile) { h.attempt.ACR = []string{"loa2"} }, "level"},
		{"a level of blanks", claim("acr", "loa 2"), "acr"},
		{"a level that is a number", claim("acr", 2), "acr"},
	})
}

func TestRotatedKeyIsFetched(t *testing.T) {
	h := newHostile(t)
	p := h.provider()
	redeem := func() error { _, err := p.Redeem(t.Context(), code, h.attempt); return err }
	if err := redeem(); err != nil {
		t.Fatal(err)
	}
	old := maps.Clone(h.header)
	oldSigner := h.signer
	h.signer, h.header = es256(t), object{"kid": "k2"}
	h.publish("k2")
	if err := settled(redeem, func(err error) bool { return err == nil }); err != nil {
		t.Errorf("a key that was rotated in: %v", err)
	}
	h.signer, h.header = oldSigner, old
	unproven := func(err error) bool { return errors.Is(err, oidc.ErrUnproven) }
	if err := settled(redeem, unproven); !unproven(err) {
		t.Errorf("a key that was rotated out: %v", err)
	}
}

// settled asks until the answer is the one awaited, and returns the last.
// go-oidc answers who waited for the provider's keys just before it keeps them
// and lets the next fetch begin, so that for a moment the keys of before count.
func settled(ask func() error, awaited func(error) bool) (err error) {
	for range 1000 {
		if err = ask(); awaited(err) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}
