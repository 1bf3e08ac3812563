package main

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// Whoever shuts out a leaver in a hurry, and mistypes the login, reads that nobody has it.
func TestMistypedLeaverIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		user     *admin.User
		mistyped bool
	}{
		"signed in once":       {&admin.User{Issuer: "https://login.clinic.example"}, false},
		"of the directory":     {&admin.User{Record: "r-1"}, false},
		"nobody has it so far": {&admin.User{}, true},
	} {
		c.user.Login = "ben@clinic.example"
		text := shutOut(&admin.DisableUserResponse{User: c.user, Ended: 2})
		if !strings.Contains(text, "ben@clinic.example is disabled: 2 sessions ended") || strings.Contains(text, "typed right") != c.mistyped {
			t.Errorf("%s: it is told %q", name, text)
		}
	}
}
