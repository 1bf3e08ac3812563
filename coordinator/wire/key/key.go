// Package key gives every key of the mesh a type of its own, so that a key in
// the wrong place does not compile, and a text form with its role in front, so
// that a key in the wrong file does not parse.
//
// Public keys are comparable values. Private keys are not: they can be neither
// compared with == (which would leak by timing) nor printed, and the only way
// out is Secret, for the one file that holds them. A zero key is no key:
// nothing is signed with it, nothing verifies against it, and no secret is
// agreed with it.
//
// Roles: the mesh root (Ed25519) signs the mesh CA and the map keys; a map key
// (Ed25519) signs maps; a node key (Ed25519) is a node's identity for life; a
// tunnel key (X25519) is WireGuard's; a path key (X25519) authenticates path
// probes. The package imports nothing of ours.
package key

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Size of every key, public and private, in bytes.
const Size = 32

// ErrInvalid is returned for text or bytes that are not a key of the wanted
// role. Its message never repeats the input, which may be a misplaced secret.
var ErrInvalid = errors.New("not a valid key")

type role interface{ name() string }

type (
	rootRole   struct{}
	mapRole    struct{}
	nodeRole   struct{}
	tunnelRole struct{}
	pathRole   struct{}
)

func (rootRole) name() string   { return "root" }
func (mapRole) name() string    { return "map" }
func (nodeRole) name() string   { return "node" }
func (tunnelRole) name() string { return "tunnel" }
func (pathRole) name() string   { return "path" }

// public is what all public keys have in common: 32 bytes and a role.
type public[R role] struct{ b [Size]byte }

func prefix[R role]() string { var r R; return r.name() + ":" }

// IsZero tells whether p is the zero value, which is no key.
func (p public[R]) IsZero() bool { return p.b == [Size]byte{} }

// Bytes gives the 32 bytes of the key.
func (p public[R]) Bytes() []byte { return append([]byte(nil), p.b[:]...) }

// Raw gives the 32 bytes of the key as an array.
func (p public[R]) Raw() [Size]byte { return p.b }

// String gives the role, a colon, and 64 hexadecimal digits.
func (p public[R]) String() string { return prefix[R]() + hex.EncodeToString(p.b[:]) }

// Short gives the role and the first 8 hexadecimal digits, for logs.
func (p public[R]) Short() string { return prefix[R]() + hex.EncodeToString(p.b[:4]) }

// MarshalText is String, as encoding.TextMarshaler.
func (p public[R]) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *public[R]) UnmarshalText(text []byte) error {
	b, err := parse(string(text), prefix[R]())
	if err != nil {
		return err
	}
	p.b = b
	return nil
}

// private is what all private keys have in common. The bytes lie behind a
// function: fmt cannot call Format on an unexported field of somebody's struct,
// and there it would print an array, or even follow a pointer to one. A function
// also makes the type incomparable.
type private[R role] struct {
	bytes func() [Size]byte // nil: no key
}

func hold[R role](b [Size]byte) private[R] {
	return private[R]{bytes: func() [Size]byte { return b }}
}

func (p *private[R]) raw() (b [Size]byte) {
	if p.bytes != nil {
		b = p.bytes()
	}
	return b
}

// IsZero tells whether p is the zero value, which is no key.
func (p *private[R]) IsZero() bool { return p.raw() == [Size]byte{} }

// Secret gives the text form of the private key, for the file that holds it
// and nothing else.
func (p *private[R]) Secret() string {
	b := p.raw()
	return "private-" + prefix[R]() + hex.EncodeToString(b[:])
}

// Format prints the role and never the key, whatever the verb.
func (p private[R]) Format(f fmt.State, _ rune) {
	var r R
	fmt.Fprintf(f, "private-%s:(hidden)", r.name())
}

// MarshalText refuses: a private key must not slip into JSON or a log.
func (p private[R]) MarshalText() ([]byte, error) {
	return nil, errors.New("a private key is not marshalled; use Secret")
}

func parsePrivate[R role](text string) (p private[R], err error) {
	b, err := parse(text, "private-"+prefix[R]())
	if err != nil {
		return p, err
	}
	return hold[R](b), nil
}

func parse(text, prefix string) (b [Size]byte, err error) {
	digits, ok := strings.CutPrefix(text, prefix)
	if !ok || len(digits) != 2*Size {
		return b, fmt.Errorf("%w: want %q and %d hexadecimal digits", ErrInvalid, prefix, 2*Size)
	}
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil {
		return [Size]byte{}, fmt.Errorf("%w: want %q and %d hexadecimal digits", ErrInvalid, prefix, 2*Size)
	}
	if b == ([Size]byte{}) {
		return b, fmt.Errorf("%w: all zero", ErrInvalid)
	}
	return b, nil
}

func fromBytes(in []byte) (b [Size]byte, err error) {
	if len(in) != Size {
		return b, fmt.Errorf("%w: %d bytes, want %d", ErrInvalid, len(in), Size)
	}
	copy(b[:], in)
	if b == ([Size]byte{}) {
		return b, fmt.Errorf("%w: all zero", ErrInvalid)
	}
	return b, nil
}
