package distribute_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// fold takes a signed message as a node does. A map that it gives must be the
// one that a fresh compilation gives for its revision: not a peer more, nor one less.
func (n *node) fold(s *wire.Signed) error {
	o, err := wire.Open(n.trust, s, time.Now())
	if err != nil {
		n.w.t.Errorf("%s cannot open a message: %v", n.id, err)
		return err
	}
	next, err := n.state.Fold(wire.Recipient{Mesh: n.trust.Mesh(), Node: n.id}, o)
	if errors.Is(err, wire.ErrOlder) {
		n.count("older")
		return nil
	}
	if err != nil {
		n.w.t.Errorf("%s cannot take a message: %v", n.id, err)
		return err
	}
	n.state = next
	switch o.Envelope().Body.(type) {
	case *wire.Envelope_Lease:
		n.count("lease")
		return nil
	case *wire.Envelope_Revocation:
		n.count("revocation")
		return nil
	case *wire.Envelope_Full:
		n.count("full")
	case *wire.Envelope_Delta:
		n.count("delta")
		if seats := len(o.Envelope().GetDelta().Seats); seats > 0 {
			n.counts["seats"] += seats
			n.w.reseated.Add(int64(seats))
			if n.old {
				n.w.t.Errorf("%s was told of seats in a way that it did not name", n.id)
			}
		}
	}
	n.bytes += len(s.Payload)
	// The bytes put together by hand are those of the contract's own encoder.
	if own, err := wire.Encode(o.Envelope()); err != nil || !bytes.Equal(own, s.Payload) {
		n.w.t.Errorf("%s got %x, which wire encodes as %x, %v", n.id, s.Payload, own, err)
	}
	return n.judge()
}

// judge holds the map against that of a fresh compilation of its revision.
func (n *node) judge() error {
	state, ok := n.w.state(n.state.Map.Revision)
	if !ok {
		return nil // a revision within one command, which nobody else saw either
	}
	if difference := differ(n.state.Map, wanted(state, n.id)); difference != "" {
		n.w.t.Errorf("%s at revision %d: %s", n.id, n.state.Map.Revision, difference)
		return errors.New("wrong map")
	}
	return nil
}

// settled says what is wrong with what the node holds, now that all is quiet.
func (n *node) settled() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	state := n.w.registry.Snapshot()
	if n.state.Map.Incarnation != state.Incarnation {
		return fmt.Sprintf("it stands at incarnation %d, the mesh at %d", n.state.Map.Incarnation, state.Incarnation)
	}
	return differ(n.state.Map, wanted(state, n.id))
}

func differ(have, want wire.Map) string {
	if have.Digest() == want.Digest() {
		return ""
	}
	ids := func(m wire.Map) []string { return slices.Sorted(maps.Keys(m.Peers)) }
	if h, w := ids(have), ids(want); !slices.Equal(h, w) {
		return fmt.Sprintf("it has the peers %v, and should have %v", h, w)
	}
	for id, p := range want.Peers {
		if wire.PeerDigest(have.Peers[id]) != wire.PeerDigest(p) {
			return fmt.Sprintf("its record of %s is %+v, and should be %+v", id, have.Peers[id], p)
		}
	}
	if wire.RulesDigest(have.Rules) != wire.RulesDigest(want.Rules) {
		return fmt.Sprintf("its rules are %+v, and should be %+v", have.Rules, want.Rules)
	}
	return fmt.Sprintf("it knows itself as %+v, and should as %+v", have.Self, want.Self)
}
