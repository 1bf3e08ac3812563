package browser

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

const phrase = "correct horse battery staple"

// A person sets up a passkey and signs in by it, at the keyboard alone.
func TestPasskeyInABrowser(t *testing.T) {
	c := found(t, ownPeople)
	p := sit(c)
	p.open(c.add("ana@clinic.example"), "Set up your sign-in")
	p.picture("set-up")
	p.press(`a[href$="/passkey"]`)
	p.sees("Set up a passkey")
	p.press(`form[data-passkey] button`)
	p.sees("You are set up")
	p.picture("set-up-done")

	opened := c.opened()
	p.open(opened.Url, "Sign in at ward-3?")
	p.picture("own-confirm")
	p.press(`button[value="password"]`)
	p.sees("Sign in at ward-3")
	p.press(`button[value="passkey"]`)
	p.sees("Sign in at ward-3")
	p.picture("own-passkey")
	p.press(`form[data-passkey] button`)
	p.sees("ward-3 is signed in")
	if s := c.session(opened.Login); s.User != "ana@clinic.example" || !slices.Contains(s.Amr, "pop") || !slices.Contains(s.Amr, "user") || !slices.Contains(s.Amr, "mfa") {
		t.Errorf("the session is %v", s)
	}
	p.satisfied(c.url)
}

// A person sets up a password with codes and signs in by them, at the keyboard alone.
func TestPasswordAndCodeInABrowser(t *testing.T) {
	c := found(t, ownPeople)
	p := sit(c)
	p.open(c.add("ana@clinic.example"), "Set up your sign-in")
	p.press(`a[href$="/password"]`)
	p.sees("Set up a password and codes")
	secret := strings.ReplaceAll(ask[string](p, `document.querySelector(".code.key").innerText`), " ", "")
	// The clock is the coordinator's own: a code of the step before sets up, which leaves
	// that of now to sign in with.
	p.write("#code", code(t, secret, -30*time.Second))
	p.write("#password", phrase)
	p.write("#again", phrase+"r")
	p.picture("set-up-password")
	p.press(`button[type="submit"]`)
	p.sees("Set up a password and codes")
	if !strings.Contains(p.text(), "not the same") {
		t.Errorf("two passwords are one:\n%s", p.text())
	}
	p.write("#code", code(t, secret, -30*time.Second))
	p.write("#password", phrase)
	p.write("#again", phrase)
	p.press(`button[type="submit"]`)
	p.sees("You are set up")

	opened := c.opened()
	p.open(opened.Url, "Sign in at ward-3?")
	p.press(`button[value="password"]`)
	p.sees("Sign in at ward-3")
	p.write("#login", "ana@clinic.example")
	p.write("#password", phrase)
	p.write("#code", "000000")
	p.press(`button[type="submit"]:not([name])`)
	p.sees("Sign in at ward-3")
	if !strings.Contains(p.text(), "Not accepted") {
		t.Errorf("a wrong code:\n%s", p.text())
	}
	p.picture("own-password")
	p.write("#password", phrase) // the login stays as it was typed
	p.write("#code", code(t, secret, 0))
	p.press(`button[type="submit"]:not([name])`)
	p.sees("ward-3 is signed in")
	if s := c.session(opened.Login); s.User != "ana@clinic.example" || !slices.Equal(s.Amr, []string{"mfa", "otp", "pwd"}) {
		t.Errorf("the session is %v", s)
	}
	p.satisfied(c.url, "status of 422")
}

// code is what an app shows, or showed before. It waits for a step that has just begun,
// so that what is typed in is still what was meant.
func code(t *testing.T, secret string, off time.Duration) string {
	t.Helper()
	const step, enough = 30 * time.Second, 15 * time.Second
	if left := step - time.Duration(time.Now().UnixNano())%step; left < enough {
		time.Sleep(left)
	}
	text, err := totp.GenerateCode(secret, time.Now().Add(off))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
