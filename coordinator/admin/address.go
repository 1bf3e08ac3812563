package admin

import (
	"errors"
	"strings"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Address is where a coordinator is, and by what it is known: what a person needs
// to sign in, and no secret.
type Address struct {
	URL         string // https://host or https://host:port
	Fingerprint key.Fingerprint
}

// String gives URL#FINGERPRINT.
func (a Address) String() string { return a.URL + "#" + a.Fingerprint.String() }

// ParseAddress reads what String wrote.
func ParseAddress(text string) (Address, error) {
	url, digits, ok := strings.Cut(strings.TrimSpace(text), "#")
	if !ok {
		return Address{}, errors.New("no '#' after the URL: want URL#FINGERPRINT, as `cordonctl role grant` prints it")
	}
	if err := wire.CheckURL(url); err != nil {
		return Address{}, err
	}
	fingerprint, err := key.ParseFingerprint(digits)
	if err != nil || fingerprint == (key.Fingerprint{}) {
		return Address{}, errors.New("the fingerprint is not 64 hexadecimal digits; was it copied whole?")
	}
	return Address{URL: url, Fingerprint: fingerprint}, nil
}
