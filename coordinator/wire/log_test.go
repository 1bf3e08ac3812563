package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// story is what a node received: a Full, three Deltas, and the map at the end.
func story(t testing.TB, m *mesh) (records []*wire.Signed, maps []wire.Map) {
	t.Helper()
	maps = []wire.Map{
		standing(at(1, 1, 1), peer(1, 1)),
		standing(at(1, 1, 3), peer(1, 1), peer(2, 1)),
		standing(at(1, 2, 4), peer(2, 1)),
		standing(at(1, 2, 9), peer(2, 2), peer(3, 0)),
	}
	records = append(records, m.sign(t, wire.NewFull(m.to, maps[0])))
	for i, next := range maps[1:] {
		records = append(records, m.sign(t, wire.NewDelta(m.to, maps[i].Revision, next.Position(), wire.Diff(maps[i], next))))
	}
	return records, maps
}

func encode(t testing.TB, records []*wire.Signed) []byte {
	t.Helper()
	log, err := wire.EncodeLog(records)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestColdStartGivesTheMapBack(t *testing.T) {
	m := newMesh(t)
	records, maps := story(t, m)
	log := encode(t, records)
	back, whole, err := wire.DecodeLog(log)
	if err != nil || whole != len(log) || len(back) != len(records) {
		t.Fatal(len(back), whole, err)
	}
	last := maps[len(maps)-1]
	got, err := wire.Replay(m.trust, m.to, back, last.Position())
	if err != nil || !same(got, last) {
		t.Fatal(err)
	}
	if again := encode(t, back); !bytes.Equal(again, log) {
		t.Fatal("the bytes as received were not kept")
	}
}

// Wherever a crash cuts the file, or leaves zeros in it, the node starts from
// the last whole record; it never starts from anything else.
func TestTornLogEndsAtItsLastWholeRecord(t *testing.T) {
	m := newMesh(t)
	records, maps := story(t, m)
	log := encode(t, records)
	ends := []int{len(wire.NewLog())}
	for i := range records {
		ends = append(ends, len(encode(t, records[:i+1])))
	}
	replayed := map[int]bool{} // the records are the same for many cuts
	for cut := ends[0]; cut <= len(log); cut++ {
		complete := 0
		for complete < len(records) && ends[complete+1] <= cut {
			complete++
		}
		zeros := append(bytes.Clone(log[:cut]), make([]byte, min(len(log)-cut, ends[min(complete+1, len(records))]-cut))...)
		for _, b := range [][]byte{log[:cut], zeros} {
			back, whole, err := wire.DecodeLog(b)
			if err != nil || len(back) < complete || len(back) > complete+1 || whole != ends[len(back)] {
				t.Fatalf("cut at %d: %d records to %d, %v; want %d", cut, len(back), whole, err, complete)
			}
			if len(back) == 0 || replayed[len(back)] {
				continue
			}
			replayed[len(back)] = true
			if got, err := wire.Replay(m.trust, m.to, back, wire.Position{}); err != nil || !same(got, maps[len(back)-1]) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
	}
	for cut := range ends[0] {
		if _, _, err := wire.DecodeLog(log[:cut]); !errors.Is(err, wire.ErrLog) {
			t.Fatalf("header cut at %d: %v", cut, err)
		}
	}
}

// One changed byte anywhere never yields a map other than one the coordinator
// made, and below the noted floor yields none.
func TestChangedLogIsRefused(t *testing.T) {
	m := newMesh(t)
	records, maps := story(t, m)
	log := encode(t, records)
	floor := maps[len(maps)-1].Position()
	for i := range log {
		bad := bytes.Clone(log)
		bad[i] ^= 0x81
		back, _, err := wire.DecodeLog(bad)
		if err != nil {
			if !errors.Is(err, wire.ErrLog) {
				t.Fatal(err)
			}
			continue
		}
		if len(back) == len(records) {
			t.Fatalf("byte %d changed and nobody noticed", i)
		}
		if _, err := wire.Replay(m.trust, m.to, back, floor); !errors.Is(err, wire.ErrLog) {
			t.Fatalf("byte %d changed, and the map is taken: %v", i, err)
		}
	}
}

func TestReplayVerifiesAndFollows(t *testing.T) {
	m := newMesh(t)
	records, maps := story(t, m)
	last := maps[len(maps)-1].Position()
	stranger := key.NewMap()
	forged := wire.Sign(&stranger, records[1].Payload)
	elsewhere := wire.Recipient{Mesh: m.id, Node: nodeID(1)}
	tests := []struct {
		name    string
		trust   *wire.Trust
		to      wire.Recipient
		records []*wire.Signed
		floor   wire.Position
		want    error
	}{
		{"nothing", m.trust, m.to, nil, wire.Position{}, wire.ErrLog},
		{"only a lease", m.trust, m.to, []*wire.Signed{m.sign(t, wire.NewLease(m.id, at(1, 1, 1), now()))}, wire.Position{}, wire.ErrGap},
		{"no trust", nil, m.to, records, wire.Position{}, wire.ErrMapKey},
		{"empty trust", wire.NewTrust(m.root.Public()), m.to, records, wire.Position{}, wire.ErrMapKey},
		{"forged", m.trust, m.to, []*wire.Signed{records[0], forged}, wire.Position{}, wire.ErrMapKey},
		{"no Full", m.trust, m.to, records[1:], wire.Position{}, wire.ErrGap},
		{"one left out", m.trust, m.to, []*wire.Signed{records[0], records[2]}, wire.Position{}, wire.ErrGap},
		{"one twice", m.trust, m.to, []*wire.Signed{records[0], records[1], records[1]}, wire.Position{}, wire.ErrOlder},
		{"another node's", m.trust, elsewhere, records, wire.Position{}, wire.ErrNotForUs},
		{"an old file put back", m.trust, m.to, records[:3], last, wire.ErrOlder},
		{"before a restore", m.trust, m.to, records, at(2, 0, 0), wire.ErrOlder},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wire.Replay(tt.trust, tt.to, tt.records, tt.floor)
			if !errors.Is(err, wire.ErrLog) || !errors.Is(err, tt.want) || !got.IsZero() {
				t.Fatal(got, err)
			}
		})
	}
}

// A revocation elsewhere in the mesh reaches this node as the epoch of a lease
// and nothing else. The map on disk is still the latest, and the epoch still
// does not go back.
func TestColdStartAfterARevocationThatDidNotConcernTheNode(t *testing.T) {
	m := newMesh(t)
	records, maps := story(t, m)
	s := wire.State{Map: maps[len(maps)-1]}
	s = m.fold(t, s, wire.NewLease(m.id, at(1, 7, 12), now()))
	got, err := wire.Replay(m.trust, m.to, records, s.Floor())
	if err != nil || got.Position() != at(1, 7, 9) {
		t.Fatal(got.Position(), err)
	}
	stale := m.open(t, wire.NewDelta(m.to, 9, at(1, 6, 11), new(wire.Delta)))
	if _, err := wire.NewState(got, nil).Fold(m.to, stale); !errors.Is(err, wire.ErrOlder) {
		t.Fatal(err)
	}
	if got, err = wire.Replay(m.trust, m.to, records, at(0, 99, 99)); err != nil || got.Position() != at(1, 2, 9) {
		t.Fatal("a floor of an earlier incarnation:", got.Position(), err)
	}
}

func TestRevocationsAreKept_A24(t *testing.T) {
	m := newMesh(t)
	k := nodeKey(4)
	r := m.sign(t, wire.NewRevocation(m.id, at(1, 2, 6), k.Public(), now()))
	got, err := wire.ReplayRevocations(m.trust, []*wire.Signed{r})
	if err != nil || len(got) != 1 || got[nodeID(4)].NodeKey != k.Public() {
		t.Fatal(got, err)
	}
	lease := m.sign(t, wire.NewLease(m.id, at(1, 1, 1), now()))
	for _, bad := range [][]*wire.Signed{{lease}, {r, nil}} {
		if got, err := wire.ReplayRevocations(m.trust, bad); !errors.Is(err, wire.ErrLog) || got != nil {
			t.Fatal(got, err)
		}
	}
}

func TestLogRefusesWhatItCouldNotRead(t *testing.T) {
	big := &wire.Signed{Payload: make([]byte, wire.MaxMessage+8192)}
	if _, err := wire.AppendRecord(wire.NewLog(), big); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal(err)
	}
	if records, whole, err := wire.DecodeLog(wire.NewLog()); err != nil || len(records) != 0 || whole != 8 {
		t.Fatal(records, whole, err)
	}
}
