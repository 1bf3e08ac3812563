package oidc

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// sealer seals refresh tokens with a key that comes of the client's secret: without it
// a token is worth nothing to the provider either, so that who has what was sealed has
// nothing new by opening it.
type sealer struct{ aead cipher.AEAD }

// newSealer gives the sealer of a client, or nil for a public one: there is nothing then
// that a thief of the disk would lack.
func newSealer(c Config) (*sealer, error) {
	if c.ClientSecret == "" {
		return nil, nil
	}
	// %q: no issuer and client ID can be taken for two others.
	info := fmt.Sprintf("cordon refresh tokens v1\n%q\n%q", c.Issuer, c.ClientID)
	key, err := hkdf.Key(sha256.New, []byte(c.ClientSecret), nil, info, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("OpenID Connect: a key of the client secret: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	return &sealer{aead}, err
}

// Format prints nothing of the key, whatever the verb.
func (*sealer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "oidc.sealer(hidden)") }

// sealed is what is sealed.
type sealed struct {
	Subject string `json:"subject"`
	Refresh string `json:"refresh"`
}

// close seals what is held of a session: it opens as no other session's, and with no
// other word on whether a question is under way.
func (s *sealer) close(h held, asked bool) []byte {
	plain, _ := json.Marshal(sealed{h.subject, h.refresh}) // two strings always can be
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails: crypto/rand
	return s.aead.Seal(nonce, nonce, plain, bound(h.session, asked))
}

func (s *sealer) open(session string, asked bool, text []byte) (held, bool) {
	n := s.aead.NonceSize()
	if len(text) < n {
		return held{}, false
	}
	plain, err := s.aead.Open(nil, text[:n], text[n:], bound(session, asked))
	if err != nil {
		return held{}, false
	}
	var in sealed
	if json.Unmarshal(plain, &in) != nil {
		return held{}, false
	}
	return held{subject: in.Subject, refresh: in.Refresh, session: session, doubtful: asked}, true
}

func bound(session string, asked bool) []byte { return fmt.Appendf(nil, "%t\n%s", asked, session) }
