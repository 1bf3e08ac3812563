package key

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

type agreePublic[R role] struct{ public[R] }
type agreePrivate[R role] struct{ private[R] }

// The agreement keys (X25519, RFC 7748).
type (
	TunnelPublic  struct{ agreePublic[tunnelRole] }
	TunnelPrivate struct{ agreePrivate[tunnelRole] }
	PathPublic    struct{ agreePublic[pathRole] }
	PathPrivate   struct{ agreePrivate[pathRole] }
)

func (p *agreePrivate[R]) standard() *ecdh.PrivateKey {
	if p.IsZero() {
		panic("key: zero private key used")
	}
	b := p.raw()
	k, err := ecdh.X25519().NewPrivateKey(b[:])
	if err != nil {
		panic("key: " + err.Error()) // only a wrong length fails
	}
	return k
}

func (p *agreePrivate[R]) public() (pub agreePublic[R]) {
	copy(pub.b[:], p.standard().PublicKey().Bytes())
	return pub
}

// Public gives the public half.
func (p *TunnelPrivate) Public() TunnelPublic { return TunnelPublic{p.public()} }

// Public gives the public half.
func (p *PathPrivate) Public() PathPublic { return PathPublic{p.public()} }

// Raw gives the 32 bytes of the key to WireGuard, which takes nothing else.
func (p *TunnelPrivate) Raw() [Size]byte { return p.raw() }

// ProbeKey is the pairwise key under which two nodes authenticate their path
// probes. Both ends derive the same one.
type ProbeKey [sha256.Size]byte

// Format prints nothing of the key.
func (ProbeKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "probe-key:(hidden)") }

// Agree derives the pairwise probe key with the holder of peer: HKDF-SHA-256
// (RFC 5869) of the X25519 secret, bound to both public keys in byte order. It
// fails on a low-order point.
func (p *PathPrivate) Agree(peer PathPublic) (k ProbeKey, err error) {
	remote, err := ecdh.X25519().NewPublicKey(peer.b[:])
	if err != nil {
		return k, fmt.Errorf("path key of peer: %w", ErrInvalid)
	}
	secret, err := p.standard().ECDH(remote)
	if err != nil {
		return k, fmt.Errorf("path key of peer: %w", ErrInvalid)
	}
	a, b := p.Public().b, peer.b
	if string(a[:]) > string(b[:]) {
		a, b = b, a
	}
	out, err := hkdf.Key(sha256.New, secret, nil, "cordon probe v1"+string(a[:])+string(b[:]), len(k))
	if err != nil {
		return k, err
	}
	copy(k[:], out)
	return k, nil
}

// NewTunnel makes a tunnel key, clamped as RFC 7748 section 5 asks.
func NewTunnel() (k TunnelPrivate) { k.private = hold[tunnelRole](clamp(random())); return k }

// NewPath makes a path key.
func NewPath() (k PathPrivate) { k.private = hold[pathRole](clamp(random())); return k }

func clamp(b [Size]byte) [Size]byte {
	b[0] &= 248
	b[31] = b[31]&127 | 64
	return b
}

// ParseTunnelPrivate reads what Secret wrote. Errors never repeat the input.
func ParseTunnelPrivate(text string) (k TunnelPrivate, err error) {
	k.private, err = parsePrivate[tunnelRole](text)
	return k, err
}

// ParsePathPrivate reads what Secret wrote. Errors never repeat the input.
func ParsePathPrivate(text string) (k PathPrivate, err error) {
	k.private, err = parsePrivate[pathRole](text)
	return k, err
}

// TunnelPublicFrom takes 32 bytes of the wire.
func TunnelPublicFrom(in []byte) (k TunnelPublic, err error) { k.b, err = fromBytes(in); return k, err }

// PathPublicFrom takes 32 bytes of the wire.
func PathPublicFrom(in []byte) (k PathPublic, err error) { k.b, err = fromBytes(in); return k, err }
