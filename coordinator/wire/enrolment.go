package wire

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// The shortest secret is 128 bits in base32, the longest string leaves room
// for any host name.
const (
	enrolmentScheme = "cordon:"
	minSecret       = 26
	maxSecret       = 128
	maxEnrolment    = 1024
)

// Enrolment is the one string that a machine needs to join a mesh:
//
//	cordon:https://coordinator.example:8443#FINGERPRINT.SECRET
//
// The fingerprint pins the mesh root, so that no certificate authority of the
// web and no name server can send the machine elsewhere. The secret is a
// token's. Neither fmt nor slog prints it, unless an Enrolment stands in an
// unexported field of what is printed, where fmt does not ask. Reveal is the way
// out.
type Enrolment struct {
	URL         string // https://host or https://host:port, nothing more
	Fingerprint key.Fingerprint
	Secret      string // 26 to 128 letters and digits
}

// ParseEnrolment reads what Reveal wrote, with white space around it. Errors
// say what is wrong and never repeat the input.
func ParseEnrolment(text string) (Enrolment, error) {
	if len(text) > maxEnrolment {
		return Enrolment{}, fmt.Errorf("%w: longer than %d bytes", ErrEnrolment, maxEnrolment)
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), enrolmentScheme)
	if !ok {
		return Enrolment{}, fmt.Errorf("%w: it must begin with %q", ErrEnrolment, enrolmentScheme)
	}
	address, rest, ok := strings.Cut(rest, "#")
	if !ok {
		return Enrolment{}, fmt.Errorf("%w: no '#' after the URL; was it copied whole?", ErrEnrolment)
	}
	digits, secret, ok := strings.Cut(rest, ".")
	if !ok {
		return Enrolment{}, fmt.Errorf("%w: no '.' after the fingerprint; was it copied whole?", ErrEnrolment)
	}
	fingerprint, err := key.ParseFingerprint(digits)
	if err != nil {
		return Enrolment{}, fmt.Errorf("%w: the fingerprint is not 64 hexadecimal digits; was it copied whole?", ErrEnrolment)
	}
	e := Enrolment{URL: address, Fingerprint: fingerprint, Secret: secret}
	return e, e.Validate()
}

// Validate checks every field; its errors repeat none of them.
func (e Enrolment) Validate() error {
	if err := CheckURL(e.URL); err != nil {
		return fmt.Errorf("%w: %w", ErrEnrolment, err)
	}
	if e.Fingerprint == (key.Fingerprint{}) {
		return fmt.Errorf("%w: the fingerprint is all zero", ErrEnrolment)
	}
	if len(e.Secret) < minSecret || len(e.Secret) > maxSecret || strings.ContainsFunc(e.Secret, notAlphanumeric) {
		return fmt.Errorf("%w: the secret is not %d to %d letters and digits; was it copied whole?", ErrEnrolment, minSecret, maxSecret)
	}
	return nil
}

func notAlphanumeric(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// CheckURL permits https, host and port, spelt in one way only: what an
// enrolment string can hold as the coordinator's address.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || "https://"+u.Host != address {
		return errors.New("the URL must be https://host:port and nothing more")
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != p {
			return errors.New("the URL's port must be 1 to 65535")
		}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.Zone() == "" {
		return nil
	}
	if !isDomain(u.Hostname()) {
		return errors.New("the URL's host must be a name or an address, in lower case")
	}
	return nil
}

// Reveal gives the string itself, secret included, for the person who enrols a
// machine and for nothing else.
func (e Enrolment) Reveal() string {
	return enrolmentScheme + e.URL + "#" + e.Fingerprint.String() + "." + e.Secret
}

// String gives everything but the secret.
func (e Enrolment) String() string {
	return enrolmentScheme + e.URL + "#" + e.Fingerprint.String() + ".(hidden)"
}

// Format is String, whatever the verb.
func (e Enrolment) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.String()) }

// LogValue is String, for slog.
func (e Enrolment) LogValue() slog.Value { return slog.StringValue(e.String()) }

// MarshalText refuses: an enrolment string must not slip into JSON or a log.
func (e Enrolment) MarshalText() ([]byte, error) {
	return nil, errors.New("an enrolment string is not marshalled; use Reveal")
}
