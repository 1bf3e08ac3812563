package wire

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// A mesh has one map key per replica and its successor, and [Trust.Prune] leaves
// those that signed what a node keeps. More than this is an attack on the node's
// memory.
const maxMapKeys = 256

// MapKey is a key that may sign maps, with the time in which it may. Times have
// whole seconds.
type MapKey struct {
	Key       key.MapPublic
	NotBefore time.Time
	NotAfter  time.Time // exclusive
	Replica   string    // of the coordinator that holds it, for people
}

// SignMapKey lets the mesh root certify k.
func SignMapKey(root *key.RootPrivate, k MapKey) *MapKeyCertificate {
	mesh := MeshIDOf(root.Public())
	payload, err := proto.Marshal(&MapKeyClaim{Mesh: mesh[:], MapKey: k.Key.Bytes(),
		NotBefore: k.NotBefore.Unix(), NotAfter: k.NotAfter.Unix(), Replica: k.Replica})
	if err != nil {
		panic("wire: " + err.Error()) // only a replica name that is not UTF-8
	}
	return &MapKeyCertificate{Payload: payload, Signature: root.Sign(key.ContextMapKey, payload)}
}

// VerifyMapKey gives what c certifies if root signed it. The time is not judged.
func VerifyMapKey(root key.RootPublic, c *MapKeyCertificate) (MapKey, error) {
	if len(c.GetPayload()) > maxClaim {
		return MapKey{}, malformed("map key certificate of %d bytes, want at most %d", len(c.Payload), maxClaim)
	}
	if err := root.Verify(key.ContextMapKey, c.GetPayload(), c.GetSignature()); err != nil {
		return MapKey{}, fmt.Errorf("map key certificate against the mesh root: %w", err)
	}
	var claim MapKeyClaim
	if err := proto.Unmarshal(c.Payload, &claim); err != nil {
		return MapKey{}, malformed("map key certificate does not decode")
	}
	if mesh := MeshIDOf(root); !bytes.Equal(claim.Mesh, mesh[:]) {
		return MapKey{}, fmt.Errorf("map key certificate: %w", ErrNotForUs)
	}
	k, err := key.MapPublicFrom(claim.MapKey)
	if err != nil {
		return MapKey{}, malformed("map key certificate: %v", err)
	}
	if claim.NotAfter <= claim.NotBefore {
		return MapKey{}, malformed("map key certificate ends before it begins")
	}
	return MapKey{Key: k, NotBefore: time.Unix(claim.NotBefore, 0).UTC(),
		NotAfter: time.Unix(claim.NotAfter, 0).UTC(), Replica: claim.Replica}, nil
}

// Trust is the set of map keys that one mesh root certified. A node keeps its
// certificates on disk and adds them again at a cold start. An empty Trust
// trusts nothing. It is not safe for concurrent use.
type Trust struct {
	root  key.RootPublic
	certs map[key.MapPublic]trusted
}

type trusted struct {
	MapKey
	certificate *MapKeyCertificate
}

// NewTrust makes a Trust in root that knows no map key yet.
func NewTrust(root key.RootPublic) *Trust {
	return &Trust{root: root, certs: make(map[key.MapPublic]trusted)}
}

// Mesh gives the mesh that the root stands for.
func (t *Trust) Mesh() MeshID { return MeshIDOf(t.root) }

// Add takes a certificate after verifying it against the root. Its time is
// judged in use, not here: a machine whose clock is wrong at start must still
// be able to load what it kept. Of two certificates for one key the one with
// the later end stays.
func (t *Trust) Add(c *MapKeyCertificate) error {
	k, err := VerifyMapKey(t.root, c)
	if err != nil {
		return err
	}
	old, known := t.certs[k.Key]
	if known && !k.NotAfter.After(old.NotAfter) {
		return nil
	}
	if !known && len(t.certs) >= maxMapKeys {
		return malformed("more than %d map keys", maxMapKeys)
	}
	t.certs[k.Key] = trusted{k, c}
	return nil
}

// Check tells whether k may sign maps at now; if not, it says why, as [ErrMapKey].
func (t *Trust) Check(k key.MapPublic, now time.Time) error {
	c, err := t.known(k)
	if err != nil {
		return err
	}
	return c.holds(now)
}

// holds tells whether the key may sign at now.
func (k MapKey) holds(now time.Time) error {
	switch {
	case now.Before(k.NotBefore):
		return fmt.Errorf("%w: %s is valid from %s, and it is %s: check the clock",
			ErrMapKey, k.Key.Short(), k.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case !now.Before(k.NotAfter):
		return fmt.Errorf("%w: %s ended at %s, and it is %s: check the clock, or give the coordinator a new map key",
			ErrMapKey, k.Key.Short(), k.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func (t *Trust) known(k key.MapPublic) (MapKey, error) {
	if t == nil {
		return MapKey{}, fmt.Errorf("%w: no trust state", ErrMapKey)
	}
	c, ok := t.certs[k]
	if !ok {
		return MapKey{}, fmt.Errorf("%w: %s has no certificate of the mesh root", ErrMapKey, k.Short())
	}
	return c.MapKey, nil
}

// Prune forgets the keys that have ended at now, but for those that signed what
// the node keeps: without its key that does not verify at the next start. Without
// Prune a node that sees enough keys come and go takes no more of them, and locks
// its coordinator out.
func (t *Trust) Prune(now time.Time, signers map[key.MapPublic]bool) {
	for k, c := range t.certs {
		if !now.Before(c.NotAfter) && !signers[k] {
			delete(t.certs, k)
		}
	}
}

// Certificates gives all certificates, in the order of their keys, to be kept.
func (t *Trust) Certificates() []*MapKeyCertificate {
	out := make([]*MapKeyCertificate, 0, len(t.certs))
	for _, c := range t.certs {
		out = append(out, c.certificate)
	}
	slices.SortFunc(out, func(a, b *MapKeyCertificate) int { return bytes.Compare(a.Payload, b.Payload) })
	return out
}
