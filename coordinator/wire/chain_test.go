package wire_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// What a node that stands at incarnation 2, epoch 4, revision 10 takes, and
// what it does not.
func TestFoldTakesOnlyWhatFollows(t *testing.T) {
	m := newMesh(t)
	held := m.fold(t, wire.State{}, wire.NewFull(m.to, standing(at(2, 4, 10), peer(1, 2))))
	full := func(p wire.Position, peers ...wire.PeerRecord) *wire.Envelope {
		return wire.NewFull(m.to, standing(p, peers...))
	}
	delta := func(from uint64, p wire.Position) *wire.Envelope {
		return wire.NewDelta(m.to, from, p, new(wire.Delta))
	}
	lease := func(p wire.Position) *wire.Envelope { return wire.NewLease(m.id, p, now()) }
	elsewhere := wire.NewFull(wire.Recipient{Mesh: m.id, Node: nodeID(1)}, standing(at(2, 4, 11)))
	another := full(at(2, 4, 11))
	another.GetFull().Self.Id, another.GetFull().Self.NodeKey = peer(5, 0).ID, peer(5, 0).NodeKey.Bytes()

	tests := []struct {
		name string
		e    *wire.Envelope
		want error
	}{
		{"Full of the same position", full(at(2, 4, 10)), nil},
		{"later Full", full(at(2, 4, 12)), nil},
		{"Full after a revocation", full(at(2, 5, 12)), nil},
		{"Full of an earlier revision", full(at(2, 4, 9)), wire.ErrOlder},
		{"later Full of an earlier epoch", full(at(2, 3, 99)), wire.ErrOlder},
		{"Full of an earlier incarnation", full(at(1, 9, 99)), wire.ErrOlder},
		{"Full of a new incarnation", full(at(3, 1, 1)), nil},
		{"Full with an older statement", full(at(2, 4, 12), peer(1, 1)), wire.ErrMalformed},
		{"Full with an older statement after a restore", full(at(3, 1, 1), peer(1, 1)), nil},
		{"Full about another node", another, wire.ErrMalformed},
		{"Full for another node", elsewhere, wire.ErrNotForUs},
		{"next Delta", delta(10, at(2, 4, 11)), nil},
		{"Delta over several revisions", delta(10, at(2, 4, 15)), nil},
		{"Delta after a revocation", delta(10, at(2, 5, 11)), nil},
		{"Delta from later", delta(11, at(2, 4, 12)), wire.ErrGap},
		{"Delta from earlier", delta(9, at(2, 4, 11)), wire.ErrGap},
		{"Delta again", delta(9, at(2, 4, 10)), wire.ErrOlder},
		{"Delta of an earlier epoch", delta(10, at(2, 3, 11)), wire.ErrOlder},
		{"Delta of an earlier incarnation", delta(10, at(1, 4, 11)), wire.ErrOlder},
		{"Delta of a new incarnation", delta(10, at(3, 4, 11)), wire.ErrGap},
		{"Lease", lease(at(2, 4, 10)), nil},
		{"Lease of a later revision", lease(at(2, 4, 12)), nil},
		{"Lease after a revocation", lease(at(2, 5, 12)), nil},
		{"Lease of an earlier revision", lease(at(2, 4, 9)), wire.ErrOlder},
		{"Lease of an earlier epoch", lease(at(2, 3, 10)), wire.ErrOlder},
		{"Lease of an earlier incarnation", lease(at(1, 4, 10)), wire.ErrOlder},
		{"Lease of a new incarnation", lease(at(3, 4, 10)), wire.ErrGap},
		{"Lease before time began", wire.NewLease(m.id, at(2, 4, 10), time.Time{}), wire.ErrMalformed},
		{"Lease after time ends", wire.NewLease(m.id, at(2, 4, 10), time.UnixMilli(1<<60)), wire.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := held.Fold(m.to, m.open(t, tt.e))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err != nil && (!same(got.Map, held.Map) || got.Lease != held.Lease) {
				t.Fatal("the state changed in spite of the error")
			}
			if err == nil && tt.e.GetLease() == nil && got.Map.Revision != tt.e.To {
				t.Fatal("the map did not move")
			}
		})
	}
	if _, err := held.Fold(wire.Recipient{Mesh: wire.MeshID{1}, Node: m.to.Node}, m.open(t, full(at(2, 4, 11)))); !errors.Is(err, wire.ErrNotForUs) {
		t.Fatal("another mesh:", err)
	}
	if _, err := held.Fold(m.to, wire.Opened{}); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal("nothing opened:", err)
	}
}

func TestNodeWithoutAMapAsksForAFull(t *testing.T) {
	m := newMesh(t)
	for _, e := range []*wire.Envelope{
		wire.NewDelta(m.to, 1, at(1, 1, 2), new(wire.Delta)),
		wire.NewLease(m.id, at(1, 1, 2), now()),
	} {
		if _, err := (wire.State{}).Fold(m.to, m.open(t, e)); !errors.Is(err, wire.ErrGap) {
			t.Fatal(err)
		}
	}
}

// A lease tells the node of a revocation that did not concern it. From then on
// messages from before it are of the past.
func TestLeaseRaisesTheFloorAndTimeDoesNotGoBack(t *testing.T) {
	m := newMesh(t)
	s := m.fold(t, wire.State{}, wire.NewFull(m.to, standing(at(1, 1, 5))))
	s = m.fold(t, s, wire.NewLease(m.id, at(1, 3, 9), now()))
	if got := s.Floor(); got != at(1, 3, 5) {
		t.Fatal("floor", got)
	}
	if s.Lease != (wire.Leased{Position: at(1, 3, 9), Time: now()}) {
		t.Fatal("lease", s.Lease)
	}
	for _, e := range []*wire.Envelope{
		wire.NewFull(m.to, standing(at(1, 2, 8))),
		wire.NewDelta(m.to, 5, at(1, 2, 8), new(wire.Delta)),
		wire.NewLease(m.id, at(1, 2, 9), now().Add(time.Minute)),
		wire.NewLease(m.id, at(1, 3, 9), now().Add(-time.Minute)),
	} {
		if _, err := s.Fold(m.to, m.open(t, e)); !errors.Is(err, wire.ErrOlder) {
			t.Fatal(err)
		}
	}
	s = m.fold(t, s, wire.NewDelta(m.to, 5, at(1, 3, 12), new(wire.Delta)))
	s = m.fold(t, s, wire.NewFull(m.to, standing(at(2, 1, 1))))
	if got := s.Floor(); got != at(2, 1, 1) {
		t.Fatal("the old incarnation's lease is still felt:", got)
	}
	m.fold(t, s, wire.NewLease(m.id, at(2, 1, 1), now().Add(-time.Hour)))
}

func TestRevokedPeerGoesAtOnceAndNeverComesBack_A24(t *testing.T) {
	m := newMesh(t)
	s := m.fold(t, wire.State{}, wire.NewFull(m.to, standing(at(1, 1, 5), peer(1, 1), peer(2, 1))))
	kept := s
	k := nodeKey(1)
	revocation := wire.NewRevocation(m.id, at(1, 2, 6), k.Public(), now())
	s = m.fold(t, s, revocation)
	if _, held := s.Map.Peers[nodeID(1)]; held || len(s.Map.Peers) != 1 {
		t.Fatal("the revoked peer is still in the map")
	}
	if len(kept.Map.Peers) != 2 || len(kept.Revoked) != 0 {
		t.Fatal("Fold changed the state that it was given")
	}
	s = m.fold(t, s, revocation) // twice is once
	if got := s.Revoked[nodeID(1)]; got.NodeKey != k.Public() || got.At != at(1, 2, 6) || !got.Time.Equal(now()) || got.Signed == nil {
		t.Fatal("revocation", got)
	}
	if got := s.Floor(); got != at(1, 2, 5) {
		t.Fatal("the revocation's epoch is not felt:", got)
	}
	second := nodeKey(7)
	if more := m.fold(t, s, wire.NewRevocation(m.id, at(1, 2, 6), second.Public(), now())); len(more.Revoked) != 2 || len(s.Revoked) != 1 {
		t.Fatal("Fold changed the revocations that it was given")
	}
	// The Delta that names the removal comes after, or in one with more.
	s = m.fold(t, s, wire.NewDelta(m.to, 5, at(1, 2, 6), &wire.Delta{Remove: []string{nodeID(1)}}))
	back := []*wire.Envelope{
		wire.NewDelta(m.to, 6, at(1, 2, 7), &wire.Delta{Put: []*wire.Peer{peer(1, 1).Proto()}}),
		wire.NewFull(m.to, standing(at(1, 2, 7), peer(1, 1), peer(2, 1))),
		wire.NewFull(m.to, standing(at(2, 1, 1), peer(1, 3))), // restored from an old backup
	}
	for _, e := range back {
		if got, err := s.Fold(m.to, m.open(t, e)); !errors.Is(err, wire.ErrRevoked) || !same(got.Map, s.Map) {
			t.Fatal(err)
		}
	}
	old := wire.NewFull(m.to, standing(at(1, 1, 9), peer(2, 1)))
	if _, err := s.Fold(m.to, m.open(t, old)); !errors.Is(err, wire.ErrOlder) {
		t.Fatal("an epoch before the revocation:", err)
	}

	// A cold start: the map on disk may be from before the revocation.
	cold := wire.NewState(kept.Map, s.Revoked)
	if len(cold.Map.Peers) != 1 || len(kept.Map.Peers) != 2 {
		t.Fatal("the stored map brought the revoked peer back")
	}
	// The coordinator that lost it takes it back.
	o, err := wire.OpenKept(m.trust, s.Revoked[nodeID(1)].Signed)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := o.Revocation(); err != nil || r.NodeKey != k.Public() {
		t.Fatal(r, err)
	}
	if _, err := m.open(t, back[0]).Revocation(); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal("a Delta as a revocation:", err)
	}
	revocation.GetRevocation().Node = nodeID(2)
	if _, err := s.Fold(m.to, m.open(t, revocation)); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal("a revocation of one key with the id of another:", err)
	}
	revocation.GetRevocation().NodeKey = nil
	if _, err := s.Fold(m.to, m.open(t, revocation)); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal("a revocation of no key:", err)
	}
}

// Who waits for approval is told of nobody and permitted nothing.
func TestPendingNodeHasNeitherPeersNorRules(t *testing.T) {
	m := newMesh(t)
	none := standing(at(1, 1, 1))
	none.Self.Pending, none.Rules = true, acl.RuleSet{}
	withPeer := standing(at(1, 1, 1), peer(1, 1))
	withPeer.Self.Pending, withPeer.Rules = true, acl.RuleSet{}
	in, out := none, none
	in.Rules.In, out.Rules.Out = rules().In, rules().In
	m.fold(t, wire.State{}, wire.NewFull(m.to, none))
	for _, bad := range []wire.Map{withPeer, in, out} {
		if _, err := (wire.State{}).Fold(m.to, m.open(t, wire.NewFull(m.to, bad))); !errors.Is(err, wire.ErrMalformed) {
			t.Fatal(err)
		}
	}
}

func TestPositionOrder(t *testing.T) {
	ascending := []wire.Position{{}, at(1, 0, 9), at(1, 1, 1), at(1, 1, 2), at(1, 2, 1), at(2, 0, 0)}
	for i, a := range ascending {
		for j, b := range ascending {
			if got := a.Compare(b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%v and %v compare as %d", a, b, got)
			}
		}
	}
}
