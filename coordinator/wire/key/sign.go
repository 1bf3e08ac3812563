package key

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Context keeps a signature made for one purpose from being taken for another
// (Ed25519ctx, RFC 8032 section 5.1).
type Context string

// Every purpose that a key of the mesh signs for.
const (
	ContextStatement Context = "cordon statement v1"
	ContextMapKey    Context = "cordon map key v1"
	ContextMap       Context = "cordon map v1"
	ContextTicket    Context = "cordon relay ticket v1"
	ContextRelay     Context = "cordon relay proof v1"
)

// ErrSignature is returned when a signature does not verify.
var ErrSignature = errors.New("signature does not verify")

type signingPublic[R role] struct{ public[R] }
type signingPrivate[R role] struct{ private[R] }

// The signing keys. See the package comment for who holds which.
type (
	RootPublic  struct{ signingPublic[rootRole] }
	RootPrivate struct{ signingPrivate[rootRole] }
	MapPublic   struct{ signingPublic[mapRole] }
	MapPrivate  struct{ signingPrivate[mapRole] }
	NodePublic  struct{ signingPublic[nodeRole] }
	NodePrivate struct{ signingPrivate[nodeRole] }
)

// Verify checks sig over msg under ctx. A zero key verifies nothing.
func (p signingPublic[R]) Verify(ctx Context, msg, sig []byte) error {
	if p.IsZero() {
		return fmt.Errorf("%w: no key", ErrSignature)
	}
	err := ed25519.VerifyWithOptions(p.b[:], msg, sig, &ed25519.Options{Context: string(ctx)})
	if err != nil {
		return ErrSignature
	}
	return nil
}

// Standard gives the key as the standard library's type, for certificates.
func (p signingPublic[R]) Standard() ed25519.PublicKey { return ed25519.PublicKey(p.Bytes()) }

// Sign signs msg under ctx. It panics on a zero key, which is a bug.
func (p *signingPrivate[R]) Sign(ctx Context, msg []byte) []byte {
	sig, err := p.standard().Sign(nil, msg, &ed25519.Options{Context: string(ctx)})
	if err != nil {
		panic("key: " + err.Error()) // a context over 255 bytes: ours are constants
	}
	return sig
}

// Signer gives the key as a crypto.Signer, for certificates and TLS.
func (p *signingPrivate[R]) Signer() crypto.Signer { return p.standard() }

func (p *signingPrivate[R]) standard() ed25519.PrivateKey {
	if p.IsZero() {
		panic("key: zero private key used")
	}
	b := p.raw()
	return ed25519.NewKeyFromSeed(b[:])
}

func (p *signingPrivate[R]) public() (pub signingPublic[R]) {
	copy(pub.b[:], p.standard().Public().(ed25519.PublicKey))
	return pub
}

// Public gives the public half.
func (p *RootPrivate) Public() RootPublic { return RootPublic{p.public()} }

// Public gives the public half.
func (p *MapPrivate) Public() MapPublic { return MapPublic{p.public()} }

// Public gives the public half.
func (p *NodePrivate) Public() NodePublic { return NodePublic{p.public()} }

// NewRoot makes a mesh root.
func NewRoot() (k RootPrivate) { k.private = hold[rootRole](random()); return k }

// NewMap makes a map key.
func NewMap() (k MapPrivate) { k.private = hold[mapRole](random()); return k }

// NewNode makes a node key.
func NewNode() (k NodePrivate) { k.private = hold[nodeRole](random()); return k }

// ParseRootPrivate reads what Secret wrote. Errors never repeat the input.
func ParseRootPrivate(text string) (k RootPrivate, err error) {
	k.private, err = parsePrivate[rootRole](text)
	return k, err
}

// ParseMapPrivate reads what Secret wrote. Errors never repeat the input.
func ParseMapPrivate(text string) (k MapPrivate, err error) {
	k.private, err = parsePrivate[mapRole](text)
	return k, err
}

// ParseNodePrivate reads what Secret wrote. Errors never repeat the input.
func ParseNodePrivate(text string) (k NodePrivate, err error) {
	k.private, err = parsePrivate[nodeRole](text)
	return k, err
}

// RootPublicFrom takes 32 bytes of the wire.
func RootPublicFrom(in []byte) (k RootPublic, err error) { k.b, err = fromBytes(in); return k, err }

// MapPublicFrom takes 32 bytes of the wire.
func MapPublicFrom(in []byte) (k MapPublic, err error) { k.b, err = fromBytes(in); return k, err }

// NodePublicFrom takes 32 bytes of the wire.
func NodePublicFrom(in []byte) (k NodePublic, err error) { k.b, err = fromBytes(in); return k, err }

// Fingerprint of a mesh root: the SHA-256 of its 32 bytes. It is what an
// enrolment string pins.
type Fingerprint [sha256.Size]byte

// Fingerprint gives the root's fingerprint.
func (p RootPublic) Fingerprint() Fingerprint { return sha256.Sum256(p.b[:]) }

// String gives 64 hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// ParseFingerprint reads 64 hexadecimal digits.
func ParseFingerprint(text string) (f Fingerprint, err error) {
	if len(text) != 2*len(f) {
		return f, fmt.Errorf("fingerprint of %d characters, want %d hexadecimal digits", len(text), 2*len(f))
	}
	if _, err := hex.Decode(f[:], []byte(text)); err != nil {
		return Fingerprint{}, fmt.Errorf("fingerprint is not %d hexadecimal digits", 2*len(f))
	}
	return f, nil
}

func random() (b [Size]byte) {
	rand.Read(b[:]) // never fails: crypto/rand ends the process without entropy
	return b
}
