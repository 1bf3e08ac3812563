package userspace

import (
	"crypto/ecdh"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tai64n"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Where the parts of a handshake initiation lie (the WireGuard paper, section
// 5.4.2).
const (
	ephemeralAt = 8
	staticAt    = ephemeralAt + device.NoisePublicKeySize
	stampAt     = staticAt + device.NoisePublicKeySize + chacha20poly1305.Overhead
	mac1At      = stampAt + tai64n.TimestampSize + chacha20poly1305.Overhead
)

// The parts and their two MACs are the whole message.
const (
	_ = uint(mac1At + 2*blake2s.Size128 - device.MessageInitiationSize)
	_ = uint(device.MessageInitiationSize - mac1At - 2*blake2s.Size128)
)

// opener reads in a handshake initiation who begins, as wireguard-go does, which
// says nothing of those whom it has no peer for.
type opener struct {
	private *ecdh.PrivateKey
	hash    [blake2s.Size]byte // over the protocol's name and our public key
	checker device.CookieChecker
}

func newOpener(k *key.TunnelPrivate) (*opener, error) {
	raw, public := k.Raw(), k.Public().Raw()
	private, err := ecdh.X25519().NewPrivateKey(raw[:])
	if err != nil {
		return nil, fmt.Errorf("take the tunnel key into use: %w", err)
	}
	o := &opener{private: private, hash: device.InitialHash}
	mix(&o.hash, public[:])
	o.checker.Init(public)
	return o, nil
}

// isInitiation tells by type and size alone.
func isInitiation(b []byte) bool {
	return len(b) == device.MessageInitiationSize && binary.LittleEndian.Uint32(b) == device.MessageInitiationType
}

// claim is an initiation of whose sender only the name is known: anybody may
// write the public key of another.
type claim struct {
	by          key.TunnelPublic
	hash, chain [blake2s.Size]byte
	stamp       []byte // sealed
}

// read gives the claim in an initiation, and false if it is not made for us.
func (o *opener) read(b []byte) (c claim, ok bool) {
	ephemeral := b[ephemeralAt:staticAt]
	c = claim{hash: o.hash, stamp: b[stampAt:mac1At]}
	mix(&c.hash, ephemeral)
	device.KDF1(&c.chain, device.InitialChainKey[:], ephemeral)
	static, ok := o.unseal(&c, ephemeral, b[staticAt:stampAt])
	if !ok {
		return c, false
	}
	by, err := key.TunnelPublicFrom(static)
	c.by = by
	return c, err == nil
}

// prove tells whether the sender has the private key that belongs to the claim,
// and when it began, by its own clock.
func (o *opener) prove(c *claim) (at tai64n.Timestamp, ok bool) {
	by := c.by.Raw()
	stamp, ok := o.unseal(c, by[:], c.stamp)
	copy(at[:], stamp)
	return at, ok
}

// unseal is one step of Noise: a key is agreed with the owner of public, and opens
// what was sealed under it.
func (o *opener) unseal(c *claim, public, sealed []byte) (plain []byte, ok bool) {
	theirs, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, false
	}
	shared, err := o.private.ECDH(theirs)
	if err != nil {
		return nil, false
	}
	var k [chacha20poly1305.KeySize]byte
	device.KDF2(&c.chain, &k, c.chain[:], shared)
	aead, err := chacha20poly1305.New(k[:])
	if err != nil {
		return nil, false
	}
	plain, err = aead.Open(nil, device.ZeroNonce[:], sealed, c.hash[:])
	mix(&c.hash, sealed)
	return plain, err == nil
}

func mix(hash *[blake2s.Size]byte, data []byte) {
	*hash = blake2s.Sum256(append(hash[:len(hash):len(hash)], data...))
}
