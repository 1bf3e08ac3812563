package wire

import (
	"fmt"
	"maps"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Leased is the coordinator's last word that it stands behind the map. The zero
// value is none.
type Leased struct {
	Position Position
	Time     time.Time // the coordinator's, in whole milliseconds
}

// RevokedKey is a node key that ended for good.
type RevokedKey struct {
	Node    string
	NodeKey key.NodePublic
	At      Position // at.Epoch is the epoch that the revocation began
	Time    time.Time
	Signed  *Signed // as received, for Surrender
}

// State is what a node holds, and Fold is the only way forward from it. Like a
// Map it is immutable. The zero State holds nothing.
type State struct {
	Map     Map
	Lease   Leased
	Revoked map[string]RevokedKey // by node id
}

// NewState gives the state of a cold start: a map from [Replay] without the
// peers that were revoked since, and without a lease.
func NewState(m Map, revoked map[string]RevokedKey) State {
	s := State{Map: m, Revoked: revoked}
	for id := range revoked {
		s.Map = s.Map.without(id)
	}
	return s
}

func (m Map) without(id string) Map {
	if _, held := m.Peers[id]; held {
		m.Peers = maps.Clone(m.Peers)
		delete(m.Peers, id)
	}
	return m
}

// Floor gives the position below which nothing is taken: the map's, with the
// greatest epoch that the node has heard of in this incarnation. A node notes it
// on disk for [Replay].
func (s State) Floor() Position {
	floor := s.Map.Position()
	raise := func(p Position) {
		if p.Incarnation == floor.Incarnation {
			floor.Epoch = max(floor.Epoch, p.Epoch)
		}
	}
	raise(s.Lease.Position)
	for _, r := range s.Revoked {
		raise(r.At)
	}
	return floor
}

// Fold gives the state after o, or an error and s unchanged. [ErrOlder] means
// drop it and go on; [ErrNotForUs] that somebody sent it to the wrong place;
// [ErrRevoked] that revocations must be surrendered; with any other error the
// node asks for a Full.
//
// A revocation takes its peer out of the map at once; the Delta that names the
// removal follows.
func (s State) Fold(to Recipient, o Opened) (State, error) {
	e := o.Envelope()
	if e == nil {
		return s, malformed("nothing was opened")
	}
	if err := addressed(to, e); err != nil {
		return s, err
	}
	switch body := e.Body.(type) {
	case *Envelope_Full:
		return s.full(to, o.Position(), body.Full)
	case *Envelope_Delta:
		return s.delta(e.From, o.Position(), body.Delta)
	case *Envelope_Lease:
		return s.lease(o.Position(), body.Lease)
	case *Envelope_Revocation:
		return s.revocation(o, body.Revocation)
	}
	return s, malformed("envelope without a body that this build knows")
}

func addressed(to Recipient, e *Envelope) error {
	if MeshID(e.Mesh) != to.Mesh {
		return fmt.Errorf("%w: for mesh %x, this node is in %s", ErrNotForUs, e.Mesh, to.Mesh)
	}
	if e.Node != "" && e.Node != to.Node {
		return fmt.Errorf("%w: for node %q, this is %s", ErrNotForUs, clip(e.Node), to.Node)
	}
	return nil
}

// full takes a Full of the same position again: it is the answer when digests
// differ.
func (s State) full(to Recipient, at Position, f *Full) (State, error) {
	if floor := s.Floor(); at.Compare(floor) < 0 {
		return s, older(at, floor)
	}
	m, err := mapOf(f, at, s.Map.Peers)
	if err != nil {
		return s, err
	}
	if m.Self.ID != to.Node {
		return s, malformed("map of node %s in an envelope for %s", m.Self.ID, to.Node)
	}
	if at.Incarnation == s.Map.Incarnation {
		for id, p := range m.Peers {
			if err := notBack(s.Map.Peers[id], p); err != nil {
				return s, err
			}
		}
	}
	return s.with(m, m.Peers)
}

func (s State) delta(from uint64, at Position, d *Delta) (State, error) {
	floor := s.Floor()
	switch {
	case s.Map.IsZero():
		return s, fmt.Errorf("%w: a Delta from revision %d, and no map is held", ErrGap, from)
	case at.Incarnation > floor.Incarnation:
		return s, fmt.Errorf("%w: a Delta of incarnation %d, held is %d", ErrGap, at.Incarnation, floor.Incarnation)
	case at.Incarnation < floor.Incarnation || at.Epoch < floor.Epoch || at.Revision <= floor.Revision:
		return s, older(at, floor)
	case from != floor.Revision:
		return s, fmt.Errorf("%w: a Delta from revision %d, held is %d", ErrGap, from, floor.Revision)
	}
	m, err := apply(s.Map, d, at, s.Revoked)
	if err != nil {
		return s, err
	}
	put := make(map[string]PeerRecord, len(d.GetPut()))
	for _, p := range d.GetPut() {
		put[p.GetId()] = m.Peers[p.GetId()]
	}
	return s.with(m, put)
}

// with takes m unless one of the records that are new in it is of a revoked
// key: a restored backup must not bring anybody back.
func (s State) with(m Map, put map[string]PeerRecord) (State, error) {
	for id := range s.Revoked {
		if _, back := put[id]; back {
			return s, fmt.Errorf("%w: %s is in the message", ErrRevoked, id)
		}
	}
	s.Map = m
	return s, nil
}

func (s State) lease(at Position, l *Lease) (State, error) {
	floor := s.Floor()
	t := time.UnixMilli(l.GetTime()).UTC()
	switch {
	case l.GetTime() <= 0 || t.Unix() > lastSecond:
		return s, malformed("lease at %d ms since 1970", l.GetTime())
	case s.Map.IsZero() || at.Incarnation > floor.Incarnation:
		return s, fmt.Errorf("%w: a lease of incarnation %d, and no map of it is held", ErrGap, at.Incarnation)
	case at.Incarnation < floor.Incarnation || at.Epoch < floor.Epoch || at.Revision < floor.Revision:
		return s, older(at, floor)
	case t.Before(s.Lease.Time) && s.Lease.Position.Incarnation == at.Incarnation:
		return s, fmt.Errorf("%w: a lease of %s, held is one of %s", ErrOlder, t.Format(time.RFC3339), s.Lease.Time.Format(time.RFC3339))
	}
	s.Lease = Leased{at, t}
	return s, nil
}

func (s State) revocation(o Opened, r *Revocation) (State, error) {
	revoked, err := o.revokedKey(r)
	if err != nil {
		return s, err
	}
	if _, known := s.Revoked[revoked.Node]; known {
		return s, nil
	}
	if len(s.Revoked) >= MaxPeers {
		return s, malformed("more than %d revocations", MaxPeers)
	}
	s.Revoked = maps.Clone(s.Revoked)
	if s.Revoked == nil {
		s.Revoked = make(map[string]RevokedKey)
	}
	s.Revoked[revoked.Node] = revoked
	s.Map = s.Map.without(revoked.Node)
	return s, nil
}

// Revocation gives the revocation in o, for the coordinator that a node
// surrenders it to. It fails with [ErrMalformed] if o is something else.
func (o Opened) Revocation() (RevokedKey, error) {
	if o.Envelope().GetRevocation() == nil {
		return RevokedKey{}, malformed("not a revocation")
	}
	return o.revokedKey(o.Envelope().GetRevocation())
}

func (o Opened) revokedKey(r *Revocation) (RevokedKey, error) {
	k, err := key.NodePublicFrom(r.GetNodeKey())
	if err != nil {
		return RevokedKey{}, malformed("revocation: %v", err)
	}
	if r.GetNode() != NodeID(k) {
		return RevokedKey{}, malformed("revocation: id %q is not that of its node key", clip(r.GetNode()))
	}
	return RevokedKey{Node: r.Node, NodeKey: k, At: o.Position(), Time: time.UnixMilli(r.GetTime()).UTC(), Signed: o.Signed()}, nil
}

func older(at, held Position) error {
	return fmt.Errorf("%w: incarnation %d, epoch %d, revision %d; held: %d, %d, %d", ErrOlder,
		at.Incarnation, at.Epoch, at.Revision, held.Incarnation, held.Epoch, held.Revision)
}
