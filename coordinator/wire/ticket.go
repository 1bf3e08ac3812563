package wire

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// MaxTicket is the size that no relay ticket exceeds, in bytes: two claims, two
// signatures and a key, with room to grow.
const MaxTicket = 4096

// RelayPermit is what a relay ticket says: this node may use relays of this
// mesh, within this time. Times have whole seconds.
//
// Its length is a number with two meanings: for how long relays go on serving a
// node when no coordinator can be reached, and for how long they go on serving
// one that was removed.
type RelayPermit struct {
	Mesh      MeshID
	Node      key.NodePublic
	NotBefore time.Time
	NotAfter  time.Time // exclusive
	Rate      uint64    // bytes a second that the node may send; 0: as the relay says
}

// SignRelayTicket gives a ticket for p.Node, in bytes for [OpenRelayTicket]. The
// certificate is that of k by root; p.Mesh follows from root. A ticket ends with
// its map key at the latest.
func SignRelayTicket(k *key.MapPrivate, certificate *MapKeyCertificate, root key.RootPublic, p RelayPermit) []byte {
	mesh := MeshIDOf(root)
	payload, err1 := proto.Marshal(&RelayClaim{Mesh: mesh[:], NodeKey: p.Node.Bytes(),
		NotBefore: p.NotBefore.Unix(), NotAfter: p.NotAfter.Unix(), Rate: p.Rate})
	ticket, err2 := proto.Marshal(&RelayTicket{Payload: payload, Signature: k.Sign(key.ContextTicket, payload),
		MapKey: certificate, RootKey: root.Bytes()})
	if err1 != nil || err2 != nil {
		panic(fmt.Sprint("wire: ", err1, err2)) // bytes and numbers always marshal
	}
	return ticket
}

// OpenRelayTicket gives what a ticket permits, if it is of a mesh whose root is
// among roots and holds at now. That its holder has the node key is another
// question, which the relay asks.
//
// It fails with [ErrMalformed], [ErrNotForUs] (a mesh that roots does not name),
// [key.ErrSignature], [ErrMapKey], or [ErrTicket] (too early or too late).
func OpenRelayTicket(ticket []byte, roots []key.Fingerprint, now time.Time) (RelayPermit, error) {
	t := new(RelayTicket)
	if err := decode(ticket, t, MaxTicket); err != nil {
		return RelayPermit{}, err
	}
	root, err := key.RootPublicFrom(t.RootKey)
	if err != nil {
		return RelayPermit{}, malformed("relay ticket: root key: %v", err)
	}
	if !slices.Contains(roots, root.Fingerprint()) {
		return RelayPermit{}, fmt.Errorf("relay ticket: %w: mesh root %s is not one that is served here", ErrNotForUs, root.Fingerprint())
	}
	signer, err := VerifyMapKey(root, t.MapKey)
	if err != nil {
		return RelayPermit{}, fmt.Errorf("relay ticket: %w", err)
	}
	if err := signer.holds(now); err != nil {
		return RelayPermit{}, fmt.Errorf("relay ticket: %w", err)
	}
	if err := signer.Key.Verify(key.ContextTicket, t.Payload, t.Signature); err != nil {
		return RelayPermit{}, fmt.Errorf("relay ticket: by %s: %w", signer.Key.Short(), err)
	}
	p, err := permitOf(t.Payload, MeshIDOf(root))
	if err != nil {
		return RelayPermit{}, err
	}
	if now.Before(p.NotBefore) || !now.Before(p.NotAfter) {
		return RelayPermit{}, fmt.Errorf("%w: from %s to %s, and it is %s", ErrTicket,
			p.NotBefore.Format(time.RFC3339), p.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return p, nil
}

func permitOf(payload []byte, mesh MeshID) (RelayPermit, error) {
	claim := new(RelayClaim)
	if err := decode(payload, claim, maxClaim); err != nil {
		return RelayPermit{}, err
	}
	if !bytes.Equal(claim.Mesh, mesh[:]) {
		return RelayPermit{}, fmt.Errorf("relay ticket: %w: signed for another mesh than its root's", ErrNotForUs)
	}
	node, err := key.NodePublicFrom(claim.NodeKey)
	if err != nil {
		return RelayPermit{}, malformed("relay ticket: node key: %v", err)
	}
	if claim.NotAfter <= claim.NotBefore || claim.NotBefore < 0 || claim.NotAfter > lastSecond {
		return RelayPermit{}, malformed("relay ticket from second %d to %d", claim.NotBefore, claim.NotAfter)
	}
	return RelayPermit{Mesh: mesh, Node: node, NotBefore: time.Unix(claim.NotBefore, 0).UTC(),
		NotAfter: time.Unix(claim.NotAfter, 0).UTC(), Rate: claim.Rate}, nil
}
