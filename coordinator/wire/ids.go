package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// MeshID names a mesh: the first half of the fingerprint of its root. The zero
// value is no mesh.
type MeshID [16]byte

// MeshIDOf gives the id of the mesh whose root is root.
func MeshIDOf(root key.RootPublic) MeshID {
	f := root.Fingerprint()
	return MeshID(f[:16])
}

// MeshIDFrom takes the 16 bytes of the wire.
func MeshIDFrom(b []byte) (id MeshID, err error) {
	if len(b) != len(id) {
		return id, malformed("mesh id of %d bytes, want %d", len(b), len(id))
	}
	copy(id[:], b)
	if id == (MeshID{}) {
		return id, malformed("mesh id is all zero")
	}
	return id, nil
}

// String gives 32 hexadecimal digits.
func (m MeshID) String() string { return hex.EncodeToString(m[:]) }

// MarshalText is String, as encoding.TextMarshaler.
func (m MeshID) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *MeshID) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("%w: mesh id: want %d hexadecimal digits", ErrMalformed, 2*len(m))
	}
	*m, err = MeshIDFrom(b)
	return err
}

// NodeID gives the id of the node that holds k: "n-" and the first 20
// hexadecimal digits of the key's SHA-256. It is the node's for life, and no
// record can give a node an id that is not its own.
func NodeID(k key.NodePublic) string {
	raw := k.Raw()
	sum := sha256.Sum256(raw[:])
	return "n-" + hex.EncodeToString(sum[:10])
}
