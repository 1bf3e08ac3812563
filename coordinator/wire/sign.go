package wire

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// SignBatch signs all payloads with one signature. Each result verifies alone
// and gives away nothing of the others but hashes. It shares memory with
// payloads, and panics on more than 16 million of them.
func SignBatch(k *key.MapPrivate, payloads [][]byte) []*Signed {
	if len(payloads) == 0 {
		return nil
	}
	if len(payloads) > maxLeaves {
		panic("wire: batch too large")
	}
	t := newTree(payloads)
	root, public := t.root(), k.Public()
	signature, name := k.Sign(key.ContextMap, root[:]), public.Bytes()
	out, all := make([]*Signed, len(payloads)), make([]Signed, len(payloads))
	for i, p := range payloads {
		s := &all[i]
		s.Payload, s.Leaf, s.Leaves, s.Proof = p, uint32(i), uint32(len(payloads)), t.proof(i)
		s.MapKey, s.Signature = name, signature
		out[i] = s
	}
	return out
}

// Sign signs one payload.
func Sign(k *key.MapPrivate, payload []byte) *Signed { return SignBatch(k, [][]byte{payload})[0] }

// Opened is an envelope whose signature was verified, with the bytes that
// prove it. There is no other way to make one than Open and OpenKept.
type Opened struct {
	envelope *Envelope
	signed   *Signed
}

// Envelope gives what was signed. Nobody may write to it.
func (o Opened) Envelope() *Envelope { return o.envelope }

// Signed gives the message as it was received, to be kept.
func (o Opened) Signed() *Signed { return o.signed }

// Position gives the place in history that the envelope leads to.
func (o Opened) Position() Position {
	e := o.envelope
	return Position{Incarnation: e.GetIncarnation(), Revision: e.GetTo(), Epoch: e.GetEpoch()}
}

// Open verifies s at now. The signature comes first: of a payload that no
// trusted key signed nothing is decoded. It fails with [ErrMapKey], [ErrProof],
// [ErrNotForUs] (another mesh) or [ErrMalformed].
func Open(t *Trust, s *Signed, now time.Time) (Opened, error) {
	k, err := key.MapPublicFrom(s.GetMapKey())
	if err != nil {
		return Opened{}, malformed("map key: %v", err)
	}
	if err := t.Check(k, now); err != nil {
		return Opened{}, err
	}
	return OpenKept(t, s)
}

// OpenKept is Open for what this node (or a coordinator's peer) accepted once
// and kept: the map on disk, a revocation. That its map key has ended since, or
// that the machine started with a wrong clock, takes nothing from it.
func OpenKept(t *Trust, s *Signed) (Opened, error) {
	k, err := key.MapPublicFrom(s.GetMapKey())
	if err != nil {
		return Opened{}, malformed("map key: %v", err)
	}
	if _, err := t.known(k); err != nil {
		return Opened{}, err
	}
	if len(s.GetPayload()) > MaxMessage || len(s.GetProof()) > maxProof {
		return Opened{}, malformed("payload of %d bytes with a proof of %d", len(s.Payload), len(s.Proof))
	}
	root, err := rootFrom(leafHash(s.Payload), s.Leaf, s.Leaves, s.Proof)
	if err != nil {
		return Opened{}, err
	}
	if err := k.Verify(key.ContextMap, root[:], s.Signature); err != nil {
		return Opened{}, fmt.Errorf("%w: by %s: %w", ErrProof, k.Short(), err)
	}
	e := new(Envelope)
	if err := decode(s.Payload, e, MaxMessage); err != nil {
		return Opened{}, err
	}
	if err := checkEnvelope(t.Mesh(), e); err != nil {
		return Opened{}, err
	}
	return Opened{e, s}, nil
}

func checkEnvelope(mesh MeshID, e *Envelope) error {
	if !bytes.Equal(e.Mesh, mesh[:]) {
		return fmt.Errorf("%w: signed for mesh %x", ErrNotForUs, e.Mesh[:min(len(e.Mesh), len(mesh))])
	}
	if e.Incarnation == 0 || e.To == 0 {
		return malformed("envelope at incarnation %d, revision %d: both begin at 1", e.Incarnation, e.To)
	}
	switch e.Body.(type) {
	case *Envelope_Full, *Envelope_Delta:
		if e.Node == "" {
			return malformed("map for nobody")
		}
	case *Envelope_Lease, *Envelope_Revocation:
		if e.Node != "" {
			return malformed("message for all, addressed to one")
		}
	default:
		return malformed("envelope without a body that this build knows")
	}
	if _, delta := e.Body.(*Envelope_Delta); !delta && e.From != 0 || delta && e.From >= e.To {
		return malformed("envelope from revision %d to %d", e.From, e.To)
	}
	return nil
}
