package wire_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func TestApplyOfDiffGivesTheOtherMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawMap(t, wire.Map{}, 1)
		b := drawMap(t, a, 2)
		before, digest := a.Full(), a.Digest()
		d := wire.Diff(a, b)
		got, err := wire.Apply(a, d, b.Position())
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, b) {
			t.Fatalf("Apply(a, Diff(a, b)) is not b:\n%+v\n%+v", got, b)
		}
		if !proto.Equal(before, a.Full()) || a.Digest() != digest {
			t.Fatal("Apply changed the map that it was given")
		}
		equal := proto.Equal(a.Full(), b.Full())
		if equal != d.IsEmpty() || equal != (a.Digest() == b.Digest()) {
			t.Fatalf("same %t, empty Delta %t, same digest %t", equal, d.IsEmpty(), a.Digest() == b.Digest())
		}
	})
}

// A stream may lose, repeat and reorder messages (a bug, a bad proxy): what the
// node holds is at any time a map that the coordinator made, and after a Full
// it is the last one.
func TestAnyScheduleConverges(t *testing.T) {
	m := newMesh(t)
	rapid.Check(t, func(t *rapid.T) {
		history := []wire.Map{drawMap(t, wire.Map{}, 1)}
		var sent []*wire.Envelope
		for r := uint64(2); r < 6; r++ {
			last := history[len(history)-1]
			next := drawMap(t, last, r)
			for id, p := range last.Peers { // so that statements stay in order
				if _, held := next.Peers[id]; !held {
					next.Peers[id] = p
				}
			}
			history = append(history, next)
			sent = append(sent, wire.NewDelta(m.to, last.Revision, next.Position(), wire.Diff(last, next)))
		}
		s := wire.State{}
		take := func(e *wire.Envelope) error {
			payload, err := wire.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			o, err := wire.Open(m.trust, wire.Sign(&m.mapK, payload), now())
			if err != nil {
				t.Fatal(err)
			}
			s, err = s.Fold(m.to, o)
			return err
		}
		if err := take(wire.NewFull(m.to, history[0])); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			err := take(sent[rapid.IntRange(0, len(sent)-1).Draw(t, "message")])
			if err != nil && !errors.Is(err, wire.ErrGap) && !errors.Is(err, wire.ErrOlder) {
				t.Fatal(err)
			}
			if want := history[s.Map.Revision-1]; !same(s.Map, want) {
				t.Fatalf("at revision %d the node holds what the coordinator never made", s.Map.Revision)
			}
		}
		last := history[len(history)-1]
		if err := take(wire.NewFull(m.to, last)); err != nil || !same(s.Map, last) {
			t.Fatal("a Full did not settle it", err)
		}
	})
}

func TestDeltaThatDoesNotFitIsRefusedWhole(t *testing.T) {
	a := standing(at(1, 1, 5), peer(1, 2), peer(2, 1))
	taken := peer(3, 1)
	taken.Addresses = a.Peers[nodeID(1)].Addresses
	taken.Prefixes = nil
	routed := peer(3, 1)
	routed.Routes = append(routed.Routes, a.Self.Prefixes[0].Prefix)
	named := peer(3, 1)
	named.Name = a.Self.Name
	mute := peer(1, 2)
	mute.Statement = nil
	forged := peer(3, 1)
	forged.Statement = peer(1, 1).Statement
	twin := peer(3, 1)
	stolen := nodeKey(3)
	twin.Statement = wire.SignStatement(&stolen, peer(1, 2).TunnelKey, peer(3, 1).PathKey, 1)
	first := nodeKey(1)
	again := peer(1, 2)
	again.Statement = wire.SignStatement(&first, peer(9, 1).TunnelKey, peer(1, 2).PathKey, 2)
	other := a.Self
	k := nodeKey(9)
	other.ID, other.NodeKey = nodeID(9), k.Public()
	pending := a.Self
	pending.Pending = true
	grown := a.Self
	grown.Routes = append(grown.Routes, peer(2, 1).Prefixes[0].Prefix)
	wrong := &wire.RuleSet{In: []*wire.Rule{{Id: "x", Src: []uint64{0}}}}

	tests := []struct {
		name string
		d    *wire.Delta
		want error
	}{
		{"nothing there", nil, wire.ErrMalformed},
		{"removes a stranger", &wire.Delta{Remove: []string{nodeID(3)}}, wire.ErrMalformed},
		{"removes twice", &wire.Delta{Remove: []string{nodeID(1), nodeID(1)}}, wire.ErrMalformed},
		{"removes and puts", &wire.Delta{Remove: []string{nodeID(1)}, Put: []*wire.Peer{peer(1, 2).Proto()}}, wire.ErrMalformed},
		{"puts twice", &wire.Delta{Put: []*wire.Peer{peer(3, 1).Proto(), peer(3, 1).Proto()}}, wire.ErrMalformed},
		{"statement goes back", &wire.Delta{Put: []*wire.Peer{peer(1, 1).Proto()}}, wire.ErrMalformed},
		{"another statement of the same sequence", &wire.Delta{Put: []*wire.Peer{again.Proto()}}, wire.ErrMalformed},
		{"statement is lost", &wire.Delta{Put: []*wire.Peer{mute.Proto()}}, wire.ErrMalformed},
		{"statement of another", &wire.Delta{Put: []*wire.Peer{forged.Proto()}}, key.ErrSignature},
		{"address of another", &wire.Delta{Put: []*wire.Peer{taken.Proto()}}, wire.ErrTwoOwners},
		{"route to this node's address", &wire.Delta{Put: []*wire.Peer{routed.Proto()}}, wire.ErrTwoOwners},
		{"name of this node", &wire.Delta{Put: []*wire.Peer{named.Proto()}}, wire.ErrTwoOwners},
		{"tunnel key of another", &wire.Delta{Put: []*wire.Peer{twin.Proto()}}, wire.ErrTwoOwners},
		{"this node becomes another", &wire.Delta{Self: other.Proto()}, wire.ErrMalformed},
		{"this node takes a peer's address", &wire.Delta{Self: grown.Proto()}, wire.ErrTwoOwners},
		{"pending with peers", &wire.Delta{Self: pending.Proto()}, wire.ErrMalformed},
		{"rule with class 0", &wire.Delta{Rules: wrong}, wire.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			digest := a.Digest()
			got, err := wire.Apply(a, tt.d, at(1, 1, 6))
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if !got.IsZero() || a.Digest() != digest {
				t.Fatal("something was taken")
			}
		})
	}
	// A prefix may move from one to another in one Delta.
	moved := &wire.Delta{Remove: []string{nodeID(1)}, Put: []*wire.Peer{taken.Proto()}}
	if _, err := wire.Apply(a, moved, at(1, 1, 6)); err != nil {
		t.Fatal("a prefix that changes hands was refused:", err)
	}
	if _, err := wire.Apply(wire.Map{}, new(wire.Delta), at(1, 1, 6)); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal("a Delta to no map:", err)
	}
}
