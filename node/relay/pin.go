package relay

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
)

// Pin is the SHA-256 of a relay's public key (SubjectPublicKeyInfo, as in RFC 7469
// section 2.4). A relay that is named with its pin needs no web authority, and no
// web authority can make another in its place. The zero value is no pin.
type Pin [sha256.Size]byte

// PinOf gives the pin of a certificate's key.
func PinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// String gives 64 hexadecimal digits.
func (p Pin) String() string { return hex.EncodeToString(p[:]) }

// ParsePin reads 64 hexadecimal digits.
func ParsePin(text string) (p Pin, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(p) || Pin(b) == (Pin{}) {
		return p, fmt.Errorf("pin %.80q is not allowed: want %d hexadecimal digits, not all zero", text, 2*len(p))
	}
	return Pin(b), nil
}

const hintInspected = "if a box on this network inspects TLS, have the relay's name excepted from it"

// verify looks at the key alone: names, dates and issuer do not count.
func (p Pin) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: no certificate", ErrRelayKey)
	}
	if got := PinOf(state.PeerCertificates[0]); got != p {
		return fmt.Errorf("%w: the server's key is %s, the relay's pin %s; %s", ErrRelayKey, got, p, hintInspected)
	}
	return nil
}

// wrongRelay makes a certificate that the web's authorities do not vouch for an
// [ErrRelayKey], and says what may be behind it.
func wrongRelay(err error) error {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return fmt.Errorf("%w: %w; %s", ErrRelayKey, err, hintInspected)
	}
	return err
}
