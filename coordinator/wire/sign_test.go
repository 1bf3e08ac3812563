package wire_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// treeHash is RFC 9162 section 2.1.1, word for word.
func treeHash(d [][]byte) []byte {
	if len(d) == 1 {
		h := sha256.Sum256(append([]byte{0}, d[0]...))
		return h[:]
	}
	k := 1
	for k*2 < len(d) {
		k *= 2
	}
	h := sha256.Sum256(append(append([]byte{1}, treeHash(d[:k])...), treeHash(d[k:])...))
	return h[:]
}

func leases(t testing.TB, m *mesh, n int) (payloads [][]byte) {
	t.Helper()
	for i := range n {
		b, err := wire.Encode(wire.NewLease(m.id, at(1, 1, uint64(i+1)), now()))
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, b)
	}
	return payloads
}

func TestBatchIsTheTreeOfTheRFC(t *testing.T) {
	m := newMesh(t)
	for n := 1; n <= 70; n++ {
		payloads := leases(t, m, n)
		batch := wire.SignBatch(&m.mapK, payloads)
		if err := m.mapK.Public().Verify(key.ContextMap, treeHash(payloads), batch[0].Signature); err != nil {
			t.Fatalf("%d leaves: the signature is not over the RFC's root", n)
		}
		for i, s := range batch {
			o, err := wire.Open(m.trust, s, now())
			if err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			if o.Position() != at(1, 1, uint64(i+1)) || o.Signed() != s {
				t.Fatalf("leaf %d of %d opened as another", i, n)
			}
		}
	}
	if got := wire.SignBatch(&m.mapK, nil); got != nil {
		t.Fatal("a batch of nothing:", got)
	}
}

// Every byte of a Signed counts, whether a key, a proof or the payload.
func TestOpenRefusesWhatWasChanged_A23(t *testing.T) {
	m := newMesh(t)
	payloads := leases(t, m, 7)
	for i, good := range wire.SignBatch(&m.mapK, payloads) {
		parts := func(s *wire.Signed) [][]byte {
			return append(append([][]byte{}, s.Proof...), s.Payload, s.MapKey, s.Signature)
		}
		for p := range parts(good) {
			for b := range parts(good)[p] {
				if i != 3 && b%8 != i {
					continue // of one leaf every byte, of the others some
				}
				s := proto.CloneOf(good)
				parts(s)[p][b] ^= 1
				if o, err := wire.Open(m.trust, s, now()); err == nil || o.Envelope() != nil {
					t.Fatalf("leaf %d: part %d, byte %d changed, and it opened", i, p, b)
				}
			}
		}
		for _, spoil := range []func(*wire.Signed){
			func(s *wire.Signed) { s.Leaf = s.Leaves },
			func(s *wire.Signed) { s.Leaves = 0 },
			func(s *wire.Signed) { s.Leaves = 1 << 31 },
			func(s *wire.Signed) { s.Proof = s.Proof[1:] },
			func(s *wire.Signed) { s.Proof = append(s.Proof, s.Proof[0]) },
			func(s *wire.Signed) { s.Proof = make([][]byte, 100) },
			func(s *wire.Signed) { s.Proof[0] = s.Proof[0][:31] },
			func(s *wire.Signed) { s.Signature = nil },
			func(s *wire.Signed) { s.MapKey = nil },
			func(s *wire.Signed) { s.Payload = payloads[(i+1)%7] },
			func(s *wire.Signed) { s.Payload = make([]byte, wire.MaxMessage+1) },
		} {
			s := proto.CloneOf(good)
			spoil(s)
			if _, err := wire.Open(m.trust, s, now()); err == nil {
				t.Fatalf("leaf %d opened: %v", i, s)
			}
		}
	}
	if _, err := wire.Open(m.trust, nil, now()); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal(err)
	}
	// An inner node of the tree is not a payload.
	inner := append(append([]byte{}, treeHash(payloads[:4])...), treeHash(payloads[4:])...)
	s := proto.CloneOf(wire.SignBatch(&m.mapK, payloads)[0])
	s.Payload, s.Leaf, s.Leaves, s.Proof = inner, 0, 1, nil
	if _, err := wire.Open(m.trust, s, now()); !errors.Is(err, wire.ErrProof) {
		t.Fatal(err)
	}
}

func TestOpenRefusesEnvelopesOutOfForm(t *testing.T) {
	m := newMesh(t)
	other := key.NewRoot()
	lease := func() *wire.Envelope { return wire.NewLease(m.id, at(1, 1, 1), now()) }
	full := func() *wire.Envelope { return wire.NewFull(m.to, standing(at(1, 1, 1))) }
	delta := func() *wire.Envelope { return wire.NewDelta(m.to, 1, at(1, 1, 2), new(wire.Delta)) }
	tests := []struct {
		name  string
		e     *wire.Envelope
		spoil func(e *wire.Envelope)
		want  error
	}{
		{"good lease", lease(), func(*wire.Envelope) {}, nil},
		{"good Full", full(), func(*wire.Envelope) {}, nil},
		{"good Delta", delta(), func(*wire.Envelope) {}, nil},
		{"another mesh", lease(), func(e *wire.Envelope) { id := wire.MeshIDOf(other.Public()); e.Mesh = id[:] }, wire.ErrNotForUs},
		{"no mesh", lease(), func(e *wire.Envelope) { e.Mesh = nil }, wire.ErrNotForUs},
		{"no incarnation", lease(), func(e *wire.Envelope) { e.Incarnation = 0 }, wire.ErrMalformed},
		{"no revision", lease(), func(e *wire.Envelope) { e.To = 0 }, wire.ErrMalformed},
		{"no body", lease(), func(e *wire.Envelope) { e.Body = nil }, wire.ErrMalformed},
		{"lease for one", lease(), func(e *wire.Envelope) { e.Node = m.to.Node }, wire.ErrMalformed},
		{"lease from somewhere", lease(), func(e *wire.Envelope) { e.From = 1 }, wire.ErrMalformed},
		{"Full for nobody", full(), func(e *wire.Envelope) { e.Node = "" }, wire.ErrMalformed},
		{"Full from somewhere", full(), func(e *wire.Envelope) { e.From = 1 }, wire.ErrMalformed},
		{"Delta for nobody", delta(), func(e *wire.Envelope) { e.Node = "" }, wire.ErrMalformed},
		{"Delta to where it starts", delta(), func(e *wire.Envelope) { e.From = e.To }, wire.ErrMalformed},
		{"Delta to before it starts", delta(), func(e *wire.Envelope) { e.From = e.To + 1 }, wire.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spoil(tt.e)
			_, err := wire.Open(m.trust, m.sign(t, tt.e), now())
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestEncodeRefusesWhatNoNodeTakes(t *testing.T) {
	m := newMesh(t)
	e := wire.NewFull(m.to, standing(at(1, 1, 1)))
	e.GetFull().Self.User = string(bytes.Repeat([]byte("a"), wire.MaxMessage))
	if _, err := wire.Encode(e); !errors.Is(err, wire.ErrMalformed) {
		t.Fatal(err)
	}
}

func BenchmarkSignBatch(b *testing.B) {
	m := newMesh(b)
	for _, n := range []int{1, 1000} {
		payloads := make([][]byte, n)
		for i := range payloads {
			payloads[i] = bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 250)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				wire.SignBatch(&m.mapK, payloads)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	m := newMesh(b)
	s := wire.SignBatch(&m.mapK, leases(b, m, 1000))[512]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Open(m.trust, s, now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMap(b *testing.B) {
	m := newMesh(b)
	for _, n := range []int{100, 1000, 10000} {
		peers := make([]wire.PeerRecord, n)
		for i := range peers {
			peers[i] = peer(i+1, 1)
		}
		a := standing(at(1, 1, 1), peers...)
		o := m.open(b, wire.NewFull(m.to, a))
		held := m.fold(b, wire.State{}, wire.NewFull(m.to, a))
		changed := peer(n, 2)
		d := m.open(b, wire.NewDelta(m.to, 1, at(1, 1, 2), &wire.Delta{Put: []*wire.Peer{changed.Proto()}}))
		fold := func(s wire.State, o wire.Opened) func(b *testing.B) {
			return func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Fold(m.to, o); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.Run(fmt.Sprint("first Full/", n), fold(wire.State{}, o))
		b.Run(fmt.Sprint("same Full/", n), fold(held, o))
		b.Run(fmt.Sprint("Delta of one/", n), fold(held, d))
		b.Run(fmt.Sprint("digest/", n), func(b *testing.B) {
			for b.Loop() {
				a.Digest()
			}
		})
	}
}
