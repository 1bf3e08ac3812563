package local_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/local"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// holder gives a clinic in which ana has a passkey.
func holder(t *testing.T, change func(*authenticator)) (*clinic, *authenticator) {
	t.Helper()
	c, k := open(t), newAuthenticator(t)
	if change != nil {
		change(k)
	}
	link := c.add(ana, "Doctors")
	if err := c.EnrolPasskey(t.Context(), ward(), link, k.create(c, link)); err != nil {
		t.Fatal(err)
	}
	return c, k
}

// use signs in with a passkey.
func (c *clinic) use(k *authenticator) (registry.Identity, error) {
	c.t.Helper()
	options, ceremony, err := c.BeginPasskey()
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Passkey(c.t.Context(), kiosk(ward()), ceremony, k.get(options))
}

func TestPasskeyProvesAPerson(t *testing.T) {
	c, k := holder(t, nil)
	who, err := c.use(k)
	if err != nil || who.Login != ana || who.Issuer != registry.LocalIssuer || !who.At.Equal(c.clock()) {
		t.Fatalf("proved %+v, %v", who, err)
	}
	if !slices.Equal(who.AMR, []string{"mfa", "pop", "user"}) {
		t.Errorf("proved by %v", who.AMR)
	}
	if _, err := c.use(k); err != nil {
		t.Errorf("a passkey that counts nothing, once more: %v", err)
	}
	c, k = holder(t, func(k *authenticator) { k.flags |= backupEligible })
	if who, err = c.use(k); err != nil || !slices.Contains(who.AMR, "swk") {
		t.Errorf("a synced passkey proves %v, %v", who.AMR, err)
	}
}

// Both ceremonies ask for a passkey that stays on the device and verifies its user, and
// a sign-in names none: who asks learns nothing of who has one.
func TestCeremoniesAskForTwoFactors(t *testing.T) {
	c, _ := holder(t, nil)
	text, _, err := c.BeginPasskey()
	if err != nil {
		t.Fatal(err)
	}
	if o := read(t, text); o.UserVerification != "required" || len(o.Allow) != 0 || o.RpID != "mesh.clinic.example" {
		t.Errorf("a sign-in asks %s", text)
	}
	text, err = c.BeginEnrolment(c.another(ana, "MORE"))
	if err != nil {
		t.Fatal(err)
	}
	if o := read(t, text); o.Selection.UserVerification != "required" || o.Selection.ResidentKey != "required" || len(o.Exclude) != 1 || o.RP.ID != "mesh.clinic.example" {
		t.Errorf("a set-up asks %s", text)
	}
}

func TestBentPasskeysAreRefused_A16_A22_A24(t *testing.T) {
	c, k := holder(t, nil)
	for name, bend := range map[string]func(*authenticator){
		"did not verify its user": func(k *authenticator) { k.flags = userPresent },
		"nobody was there":        func(k *authenticator) { k.flags = 0 },
		"on another site":         func(k *authenticator) { k.origin = "https://mesh.clinic.example.evil.example" },
		"at another port":         func(k *authenticator) { k.origin = "https://mesh.clinic.example" },
		"in clear":                func(k *authenticator) { k.origin = "http://mesh.clinic.example:8443" },
		"for another site":        func(k *authenticator) { k.rp = "evil.example" },
		"of another ceremony":     func(k *authenticator) { k.typ = "webauthn.create" },
		"with another key":        func(k *authenticator) { k.key = newAuthenticator(t).key },
		"of another id":           func(k *authenticator) { k.id = []byte("0123456789abcdef") },
		"of another person":       func(k *authenticator) { k.handle = []byte("subject-eve@clinic.example") },
		"of nobody":               func(k *authenticator) { k.handle = nil },
		"became one that syncs":   func(k *authenticator) { k.flags |= backupEligible },
	} {
		bent := *k
		bend(&bent)
		if who, err := c.use(&bent); !errors.Is(err, local.ErrPasskey) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	if _, err := c.use(k); err != nil {
		t.Errorf("the person's own: %v", err)
	}
	options, _, _ := c.BeginPasskey()
	_, another, _ := c.BeginPasskey()
	for name, ceremony := range map[string]string{"of another ceremony": another, "of none": "", "of a made-up one": `{"challenge":""}`} {
		if _, err := c.Passkey(t.Context(), kiosk(ward()), ceremony, k.get(options)); !errors.Is(err, local.ErrPasskey) {
			t.Errorf("an answer to a challenge %s: %v", name, err)
		}
	}
	if _, err := c.Passkey(t.Context(), kiosk(ward()), another, strings.Repeat("x", 1<<20)); !errors.Is(err, local.ErrPasskey) {
		t.Errorf("a megabyte: %v", err)
	}
}

// A passkey whose count does not rise was copied, or is heard again.
func TestCopiedPasskeyIsRefused_A21(t *testing.T) {
	c, k := holder(t, func(k *authenticator) { k.count = 5 })
	for _, next := range []struct {
		count uint32
		want  error
	}{{6, nil}, {9, nil}, {9, local.ErrPasskey}, {7, local.ErrPasskey}, {0, local.ErrPasskey}, {10, nil}} {
		k.count = next.count
		if _, err := c.use(k); !errors.Is(err, next.want) {
			t.Errorf("count %d: %v", next.count, err)
		}
	}
	if c.audited("local.replay") != 3 {
		t.Error("a copied passkey is not in the audit")
	}
}

func TestBadEnrolmentsAreRefused_A22(t *testing.T) {
	c := open(t)
	link := c.add(ana)
	for name, bend := range map[string]func(*authenticator){
		"did not verify its user": func(k *authenticator) { k.flags = userPresent },
		"on another site":         func(k *authenticator) { k.origin = "https://evil.example" },
		"for another site":        func(k *authenticator) { k.rp = "evil.example" },
		"of another ceremony":     func(k *authenticator) { k.typ = "webauthn.get" },
	} {
		k := newAuthenticator(t)
		bend(k)
		if err := c.EnrolPasskey(t.Context(), ward(), link, k.create(c, link)); !errors.Is(err, local.ErrPasskey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := newAuthenticator(t)
	if err := c.EnrolPasskey(t.Context(), ward(), link, k.create(c, c.add("bob@clinic.example"))); !errors.Is(err, local.ErrPasskey) {
		t.Errorf("an answer to another person's link: %v", err)
	}
	if err := c.EnrolPasskey(t.Context(), ward(), link, k.create(c, link)); err != nil {
		t.Error(err)
	}
	if err := c.EnrolPasskey(t.Context(), ward(), link, "{}"); !errors.Is(err, local.ErrLink) {
		t.Errorf("a spent link: %v", err)
	}
}

// A lock-out of the password does not touch passkeys: who has one can always sign in.
func TestPasskeyStaysOpen_A22(t *testing.T) {
	c, k := holder(t, nil)
	c.setPassword(c.another(ana, "MORE"), phrase)
	c.pass(0)
	for i := range 40 {
		_, _ = c.sign(botnet(i), ana, "a wrong one that is long")
	}
	var wait *local.WaitError
	if _, err := c.sign(cellar(), ana, phrase); !errors.As(err, &wait) {
		t.Fatalf("the login is not locked: %v", err)
	}
	if _, err := c.use(k); err != nil {
		t.Errorf("by passkey: %v", err)
	}
	c.do(registry.DisableUser{User: ana})
	c.do(registry.EnableUser{User: ana})
	c.do(registry.ForgetUser{User: ana})
	if _, err := c.use(k); !errors.Is(err, local.ErrPasskey) {
		t.Errorf("of a person who was forgotten: %v", err)
	}
}

// Browsers know passkeys for names alone.
func TestNoPasskeysAtAnAddress(t *testing.T) {
	c := open(t)
	for _, url := range []string{"https://192.0.2.1:8443", "https://[2001:db8::1]"} {
		p := c.with(url, c.key, cheap())
		if _, _, err := p.BeginPasskey(); !errors.Is(err, local.ErrNoPasskeys) || p.Passkeys() {
			t.Errorf("%s: %v", url, err)
		}
		if err := p.EnrolPasskey(t.Context(), ward(), c.add(strings.NewReplacer("https://", "", "[", "", "]", "", ":", "").Replace(url)+"@x.example"), "{}"); !errors.Is(err, local.ErrNoPasskeys) && !errors.Is(err, local.ErrPasskey) {
			t.Errorf("%s: %v", url, err)
		}
	}
	c.People = c.with("https://mesh.clinic.example:443", c.key, cheap())
	k := newAuthenticator(t)
	k.origin = "https://mesh.clinic.example" // as browsers write the usual port
	link := c.add(ana)
	if err := c.EnrolPasskey(t.Context(), ward(), link, k.create(c, link)); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"", "http://mesh.clinic.example", "https://", "\x00"} {
		if _, err := local.New(local.Config{URL: url, Key: c.key, Registry: c, Now: c.clock}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
}
