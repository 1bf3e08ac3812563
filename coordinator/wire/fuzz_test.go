package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// FuzzFold signs whatever bytes come, so that they get past the signature, and
// folds them into nothing and into a map. What is taken must be a valid map
// that survives its own encoding; what is refused must change nothing.
func FuzzFold(f *testing.F) {
	m := newMesh(f)
	records, _ := story(f, m)
	for _, s := range records {
		f.Add(s.Payload)
	}
	k := nodeKey(1)
	for _, e := range []*wire.Envelope{
		wire.NewLease(m.id, at(1, 1, 1), now()),
		wire.NewRevocation(m.id, at(1, 2, 2), k.Public(), now()),
	} {
		f.Add(m.sign(f, e).Payload)
	}
	held := m.fold(f, wire.State{}, wire.NewFull(m.to, standing(at(1, 1, 1), peer(1, 1))))
	digest := held.Map.Digest()
	f.Fuzz(func(t *testing.T, payload []byte) {
		o, err := wire.Open(m.trust, wire.Sign(&m.mapK, payload), now())
		if err != nil {
			return
		}
		for _, s := range []wire.State{{}, held} {
			next, err := s.Fold(m.to, o)
			if err != nil {
				if !same(next.Map, s.Map) {
					t.Fatal("refused, and taken in part")
				}
				continue
			}
			if next.Map.IsZero() {
				continue
			}
			if err := next.Map.Validate(); err != nil {
				t.Fatalf("taken, and not valid: %v", err)
			}
			again := m.fold(t, wire.State{}, wire.NewFull(m.to, next.Map))
			if !same(again.Map, next.Map) || again.Map.Digest() != next.Map.Digest() {
				t.Fatal("does not survive its own encoding")
			}
			if next.Map.Position().Compare(s.Map.Position()) < 0 {
				t.Fatal("went back")
			}
		}
		if held.Map.Digest() != digest {
			t.Fatal("the held map changed")
		}
	})
}

// FuzzSeatDelta applies whatever change of seats comes to a map with seats. What is
// taken is what the whole records would have said; what is refused changes nothing.
func FuzzSeatDelta(f *testing.F) {
	a := ward()
	one, own := a.Peers[nodeID(1)], a.Self
	for _, d := range []*wire.Delta{
		{Seats: []*wire.SeatDelta{{Node: one.ID, Put: []*wire.SeatRecord{seat(2).Proto(), seat(9).Proto()}, End: []string{"s1"}}}},
		{Seats: []*wire.SeatDelta{{Node: own.ID, End: []string{"s11"}, Sessions: []*wire.SessionRecord{session(12).Proto(), session(9).Proto()}}}},
		{Remove: []string{one.ID}, Seats: []*wire.SeatDelta{{Node: nodeID(2), Put: []*wire.SeatRecord{seat(1).Proto()}}}},
	} {
		b, err := proto.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	digest := a.Digest()
	f.Fuzz(func(t *testing.T, b []byte) {
		d := new(wire.Delta)
		if proto.Unmarshal(b, d) != nil {
			return
		}
		next, err := wire.Apply(a, d, at(1, 1, 6))
		if a.Digest() != digest {
			t.Fatal("the map that was given changed")
		}
		if err != nil {
			return
		}
		if err := next.Validate(); err != nil {
			t.Fatalf("taken, and not valid: %v", err)
		}
		for _, change := range d.Seats {
			p, own := next.Peers[change.Node], next.Self
			for _, id := range change.End {
				gone := func(s wire.Seat) bool { return s.Session == id }
				if slices.ContainsFunc(p.Seats, gone) || change.Node == own.ID && slices.ContainsFunc(own.Seats, gone) {
					t.Fatalf("%q ended, and still sits there", id)
				}
			}
		}
		if again, err := wire.Apply(a, wire.Diff(a, next), at(1, 1, 6)); err != nil || !same(again, next) {
			t.Fatalf("whole records say something else: %v", err)
		}
	})
}

// FuzzOpen takes bytes as they come from the network. Nothing opens but what
// the map key signed.
func FuzzOpen(f *testing.F) {
	m := newMesh(f)
	payloads := leases(f, m, 5)
	for _, s := range wire.SignBatch(&m.mapK, payloads) {
		b, err := proto.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s wire.Signed
		if proto.Unmarshal(b, &s) != nil {
			return
		}
		if _, err := wire.Open(m.trust, &s, now()); err != nil {
			return
		}
		for _, p := range payloads {
			if bytes.Equal(p, s.Payload) {
				return
			}
		}
		t.Fatalf("opened what nobody signed: %x", s.Payload)
	})
}

// FuzzLog takes bytes as they come from a disk.
func FuzzLog(f *testing.F) {
	m := newMesh(f)
	records, _ := story(f, m)
	log := encode(f, records)
	f.Add(log)
	f.Add(log[:len(log)-3])
	f.Add(append(bytes.Clone(log), make([]byte, 40)...))
	f.Add(wire.NewLog())
	f.Fuzz(func(t *testing.T, b []byte) {
		records, whole, err := wire.DecodeLog(b)
		if err != nil {
			return
		}
		if whole < len(wire.NewLog()) || whole > len(b) {
			t.Fatalf("%d of %d bytes are whole", whole, len(b))
		}
		again, end, err := wire.DecodeLog(b[:whole])
		if err != nil || end != whole || len(again) != len(records) {
			t.Fatalf("cut to what is whole: %d of %d, %v", end, whole, err)
		}
		if got, err := wire.Replay(m.trust, m.to, records, wire.Position{}); err == nil {
			if err := got.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = wire.ReplayRevocations(m.trust, records)
	})
}

// FuzzParseEnrolment takes what people paste.
func FuzzParseEnrolment(f *testing.F) {
	e := enrolment(f)
	f.Add(e.Reveal())
	e.URL = "https://[fd00::1]:8443"
	f.Add(" " + e.Reveal() + "\n")
	f.Add("cordon:https://user@host/path?q#" + strings.Repeat("0", 64) + "." + secret)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := wire.ParseEnrolment(text)
		if err != nil {
			return
		}
		if e.Reveal() != strings.TrimSpace(text) && !strings.EqualFold(e.Reveal(), strings.TrimSpace(text)) {
			t.Fatalf("%q reads as %q", text, e.Reveal())
		}
		if again, err := wire.ParseEnrolment(e.Reveal()); err != nil || again != e {
			t.Fatal(again, err)
		}
		other := e
		other.Secret = strings.Repeat("other", 6)
		if e.String() != other.String() {
			t.Fatal("the secret is printed")
		}
	})
}

// FuzzVerifyStatement takes what a node reports. Signed for the fuzzer, it must
// still be two keys.
func FuzzVerifyStatement(f *testing.F) {
	k := nodeKey(1)
	s, _ := stated(1, 3)
	f.Add(s.Payload, s.Signature)
	f.Fuzz(func(t *testing.T, payload, signature []byte) {
		got, err := wire.VerifyStatement(k.Public(), &wire.Statement{Payload: payload, Signature: signature})
		if err != nil {
			return
		}
		if !bytes.Equal(payload, s.Payload) || got.Tunnel.IsZero() || got.Path.IsZero() {
			t.Fatalf("%x verifies", payload)
		}
	})
}
