package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// SecretHash stands for a token's secret. The secret has at least 128 random
// bits, so a hash without salt can't be searched, and a look-up by hash tells
// by its timing nothing that helps to find one.
type SecretHash [sha256.Size]byte

// HashSecret gives the hash under which a secret is known.
func HashSecret(secret string) SecretHash {
	return sha256.Sum256([]byte("cordon token v1\n" + secret))
}

// MarshalText gives hexadecimal digits.
func (h SecretHash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *SecretHash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("token hash of %d characters, want %d", len(text), hex.EncodedLen(len(h)))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// TokenKind says what a token is good for. The zero kind is good for nothing.
type TokenKind string

// The kinds.
const (
	EnrolToken TokenKind = "enrol" // admits nodes
	AdminToken TokenKind = "admin" // speaks to the admin API within its scopes
)

// Token is what a secret is good for. It is never changed once it is in a State.
type Token struct {
	ID      string     `json:"id"`
	Kind    TokenKind  `json:"kind"`
	Secret  SecretHash `json:"secret"`
	Created time.Time  `json:"created"`
	Expires time.Time  `json:"expires"` // exclusive
	By      Actor      `json:"by"`
	Revoked bool       `json:"revoked,omitempty"`

	// Maker is the id of the person by whose admin session it was made, or that
	// token was by which it was made, and so on. It ends when they may make it no more.
	Maker string `json:"maker,omitempty"`

	// Enrol tokens: exactly one of User and Tags, and how many nodes it still admits.
	User          string `json:"user,omitempty"`
	Tags          Tags   `json:"tags,omitempty"`
	UsesLeft      uint32 `json:"usesLeft,omitempty"`
	NeedsApproval bool   `json:"needsApproval,omitempty"`

	// Admin tokens: what the holder may do, as one of the three says. Holder is the
	// id of a person whose admin session this is; see State.TokenScopes.
	Scopes []string `json:"scopes,omitempty"`
	Role   string   `json:"role,omitempty"`
	Holder string   `json:"holder,omitempty"`
	SID    string   `json:"sid,omitempty"` // of an admin session: as Identity has it
}

// Over tells whether the token has ended for good at a time.
func (t *Token) Over(now time.Time) bool { return t.Revoked || !now.Before(t.Expires) }

// TokenLive says whether a token is good at a time: nil, or an error that wraps
// ErrToken and says what ended it, or why it rests. It does not look at UsesLeft.
func (s *State) TokenLive(t *Token, now time.Time) error {
	switch {
	case t.Revoked:
		return fmt.Errorf("%w: token %s was revoked; ask for a new one", ErrToken, t.ID)
	case !now.Before(t.Expires):
		return fmt.Errorf("%w: token %s expired at %s; ask for a new one", ErrToken, t.ID, t.Expires.UTC().Format(time.RFC3339))
	case s.TokenRests(t):
		return fmt.Errorf("%w: token %s rests until whoever made it has signed in again, for the provider no longer stands by them; ask for a new one", ErrToken, t.ID)
	}
	return nil
}

// TokenRests tells whether the provider no longer stands by whoever made a token.
func (s *State) TokenRests(t *Token) bool { return s.disowned(t.Maker) }

// TokenPermits tells whether an admin token that is live at a time has a scope.
func (s *State) TokenPermits(t *Token, scope string, now time.Time) bool {
	return t != nil && t.Kind == AdminToken && s.TokenLive(t, now) == nil && slices.Contains(t.Scopes, scope)
}
