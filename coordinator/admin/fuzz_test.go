package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// FuzzParseCredential takes what people paste. What is taken has one spelling,
// is no enrolment string as well, and is never printed whole; what is refused is
// not repeated in the error.
func FuzzParseCredential(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		c, err := admin.ParseCredential(text)
		if err != nil {
			if c != (admin.Credential{}) && c.Secret != "" && strings.Contains(err.Error(), c.Secret) {
				t.Fatalf("the error repeats the secret: %v", err)
			}
			if len(err.Error()) > 300 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if again, err := admin.ParseCredential(c.Reveal()); err != nil || again != c {
			t.Fatalf("%q reads as %q, and that as %q, %v", text, c.Reveal(), again.Reveal(), err)
		}
		if !strings.EqualFold(strings.TrimSpace(text), c.Reveal()) {
			t.Fatalf("%q reads as %q", text, c.Reveal())
		}
		if _, err := wire.ParseEnrolment(text); err == nil {
			t.Fatalf("%q is an enrolment string too", text)
		}
		other := c
		other.Secret = strings.Repeat("other", 6)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if fmt.Sprintf(verb, c) != fmt.Sprintf(verb, other) {
				t.Fatalf("%s prints the secret", verb)
			}
		}
	})
}

// FuzzParseScopes takes a list as a flag gives it. What is taken is known; no
// scope permits a procedure that does not exist.
func FuzzParseScopes(f *testing.F) {
	f.Fuzz(func(t *testing.T, list, procedure string) {
		scopes, err := admin.ParseScopes(strings.Split(list, ","))
		if err != nil {
			return
		}
		held := make([]string, 0, len(scopes))
		for _, s := range scopes {
			if strings.TrimSpace(string(s)) != string(s) || s == "" {
				t.Fatalf("scope %q", s)
			}
			held = append(held, string(s))
		}
		if _, known := admin.ScopeOf(procedure); !known && admin.Permits(held, procedure) {
			t.Fatalf("%v may call %q, which does not exist", held, procedure)
		}
		if admin.Permits(nil, procedure) || admin.Permits([]string{"", "*", "admin"}, procedure) {
			t.Fatalf("nobody may call %q", procedure)
		}
	})
}
