package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// ErrDenied: a bearer token that does not permit what was asked. It says no
// more, on purpose.
var ErrDenied = errors.New("denied: no live token with the needed scope")

// Secret is what the holder of a token knows. Nothing prints it but Reveal.
type Secret struct{ text string }

// NewSecret draws a secret of 26 base32 digits: 130 random bits.
func NewSecret() Secret { return Secret{rand.Text()} }

// Reveal gives the text, for the one who asked for the token and nobody else.
func (s Secret) Reveal() string { return s.text }

// Hash gives what the registry knows the secret by.
func (s Secret) Hash() registry.SecretHash { return registry.HashSecret(s.text) }

// Format prints nothing of the secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret:(hidden)") }

// MarshalText refuses: a secret must not slip into JSON or a log.
func (Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret is not marshalled; use Reveal")
}

// NewTokenID draws the id of a token, which is no secret.
func NewTokenID() string { return "t-" + strings.ToLower(rand.Text()[:12]) }

// Same compares two hashes in constant time.
func Same(a, b registry.SecretHash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// Permit gives the live admin token whose secret was presented, if it has the
// scope; else ErrDenied.
func Permit(s *registry.State, presented, scope string, now time.Time) (*registry.Token, error) {
	h := registry.HashSecret(presented)
	t, ok := s.TokenBySecret(h)
	if !ok || !Same(t.Secret, h) || !s.TokenPermits(t, scope, now) {
		return nil, ErrDenied
	}
	return t, nil
}
