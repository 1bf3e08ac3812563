package wire_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// ward gives a map in which one peer and the node itself have seats 1 to 3, and
// sessions 1 to 3 are known here.
func ward() wire.Map {
	p := peer(1, 1)
	p.Seats = []wire.Seat{seat(1), seat(2), seat(3)}
	m := standing(at(1, 1, 5), p, peer(2, 1))
	m.Self.Seats, m.Self.Sessions = nil, nil
	for n := byte(11); n <= 13; n++ {
		m.Self.Seats = append(m.Self.Seats, seat(n))
		m.Self.Sessions = append(m.Self.Sessions, session(n))
	}
	return m
}

func session(n byte) wire.Session {
	return wire.Session{ID: fmt.Sprint("s", n), User: "ada@example.org", At: now(), Until: now().Add(time.Hour), Seat: fmt.Sprint(1000 + int(n))}
}

// drawSeats draws seats at the n-th node, some of which are as before.
func drawSeats(t *rapid.T, n byte) (seats []wire.Seat) {
	for i := range byte(4) {
		if rapid.Bool().Draw(t, "sits") {
			s := seat(n + i)
			s.Facts[0].Until = now().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "hours")) * time.Hour)
			s.Prefixes[0].Class = acl.Class(rapid.Uint64Range(1, 2).Draw(t, "class"))
			if rapid.Bool().Draw(t, "moved") {
				s.Addresses = append(s.Addresses, netip.AddrFrom4([4]byte{100, 127, 254, n + i}))
				slices.SortFunc(s.Addresses, netip.Addr.Compare)
			}
			seats = append(seats, s)
		}
	}
	return seats
}

func drawSessions(t *rapid.T) (all []wire.Session) {
	for n := range byte(4) {
		if rapid.Bool().Draw(t, "signed in") {
			s := session(10 + n)
			s.ACR = rapid.SampledFrom([]string{"", "urn:example:loa2"}).Draw(t, "acr")
			all = append(all, s)
		}
	}
	return all
}

// narrowed puts changes of seats in place of some of the whole records in d.
func narrowed(t *rapid.T, a, b wire.Map, d *wire.Delta) (narrow int) {
	d.Put = slices.DeleteFunc(d.Put, func(p *wire.Peer) bool {
		old, held := a.Peers[p.Id]
		change := wire.DiffPeerSeats(old, b.Peers[p.Id])
		if !held || change == nil || rapid.Bool().Draw(t, "whole") {
			return false
		}
		d.Seats = append(d.Seats, change)
		return true
	})
	if change := wire.DiffSelfSeats(a.Self, b.Self); change != nil && rapid.Bool().Draw(t, "self") {
		d.Self, d.Seats = nil, append(d.Seats, change)
	}
	return len(d.Seats)
}

// Whatever mix of whole records and changes of seats a node is told: it holds what a
// Full would have told it, and is sent no byte of what did not change.
func TestAnyMixOfRecordsAndSeatsConverges(t *testing.T) {
	m := newMesh(t)
	narrow := 0
	rapid.Check(t, func(t *rapid.T) {
		last := ward()
		s, err := wire.State{}.Fold(m.to, opened(t, m, wire.NewFull(m.to, last)))
		if err != nil {
			t.Fatal(err)
		}
		for r := uint64(6); r < 12; r++ {
			next := last
			next.Revision, next.Peers = r, maps.Clone(last.Peers)
			for n := range 2 {
				p := next.Peers[nodeID(n+1)]
				p.Seats = drawSeats(t, byte(20*n))
				if rapid.IntRange(0, 3).Draw(t, "owner changes") == 0 {
					p.Owner++
				}
				next.Peers[p.ID] = p
			}
			next.Self.Seats, next.Self.Sessions = drawSeats(t, 10), drawSessions(t)
			next.Self.SignIn = rapid.IntRange(0, 3).Draw(t, "sign in") > 0
			d := wire.Diff(last, next)
			narrow += narrowed(t, last, next, d)
			if s, err = s.Fold(m.to, opened(t, m, wire.NewDelta(m.to, last.Revision, next.Position(), d))); err != nil {
				t.Fatal(err)
			}
			if !same(s.Map, next) {
				t.Fatalf("the node holds\n%+v\nand should\n%+v", s.Map, next)
			}
			if err := s.Map.Validate(); err != nil {
				t.Fatal(err)
			}
			last = next
		}
	})
	if narrow == 0 {
		t.Error("no change of seats was ever told by itself")
	}
}

func opened(t *rapid.T, m *mesh, e *wire.Envelope) wire.Opened {
	payload, err := wire.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	o, err := wire.Open(m.trust, wire.Sign(&m.mapK, payload), now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A change names who comes, who goes and whose facts are others, and nobody else.
func TestChangeOfSeatsNamesWhatChanged(t *testing.T) {
	a := ward()
	was := a.Peers[nodeID(1)]
	is := was
	renewed := seat(2)
	renewed.Facts = []acl.FactEnd{{Fact: "login", Until: now().Add(2 * time.Hour)}}
	is.Seats = []wire.Seat{renewed, seat(3), seat(4)}
	d := wire.DiffPeerSeats(was, is)
	if d.GetNode() != was.ID || len(d.Put) != 2 || d.Put[0].Session != "s2" || d.Put[1].Session != "s4" || !slices.Equal(d.End, []string{"s1"}) {
		t.Errorf("%v", d)
	}
	if d := wire.DiffPeerSeats(is, is); d != nil {
		t.Errorf("of no change: %v", d)
	}
	is.Facts = []acl.FactEnd{{Fact: "login", Until: now()}}
	if d := wire.DiffPeerSeats(was, is); d != nil {
		t.Errorf("seats alone, and the machine's facts are others: %v", d)
	}
	self := a.Self
	self.Seats, self.Sessions = append([]wire.Seat{seat(10)}, self.Seats[1:]...), append([]wire.Session{session(10)}, self.Sessions[1:]...)
	d = wire.DiffSelfSeats(a.Self, self)
	if len(d.GetPut()) != 1 || len(d.Sessions) != 1 || d.Sessions[0].Id != "s10" || !slices.Equal(d.End, []string{"s11"}) {
		t.Errorf("of the node itself: %v", d)
	}
	self.Sessions = append([]wire.Session{session(10)}, a.Self.Sessions...) // the seat went, the session did not
	if d := wire.DiffSelfSeats(a.Self, self); d != nil {
		t.Errorf("ends a session that lasts: %v", d)
	}
	self.Seats, self.Sessions = a.Self.Seats, a.Self.Sessions[1:]
	if d := wire.DiffSelfSeats(a.Self, self); d != nil {
		t.Errorf("ends a seat that lasts: %v", d)
	}
}

// Every field of a seat and of a session counts: one that was forgotten would be told
// of to nobody.
func TestEachFieldOfASeatIsAChange(t *testing.T) {
	alter := func(t *testing.T, v reflect.Value) {
		switch v.Interface().(type) {
		case string:
			v.SetString(v.String() + "x")
		case time.Time:
			v.Set(reflect.ValueOf(now().Add(5 * time.Hour)))
		default:
			if v.Kind() != reflect.Slice || v.Len() == 0 {
				t.Fatal("this test has to be taught of", v.Type())
			}
			v.Set(v.Slice(0, 0))
		}
	}
	whole := session(11)
	whole.AMR, whole.ACR = []string{"otp"}, "urn:example:loa2"
	for i := range reflect.TypeFor[wire.Seat]().NumField() {
		was, is := peer(1, 1), peer(1, 1)
		was.Seats, is.Seats = []wire.Seat{seat(1)}, []wire.Seat{seat(1)}
		alter(t, reflect.ValueOf(&is.Seats[0]).Elem().Field(i))
		if wire.DiffPeerSeats(was, is) == nil {
			t.Error("of a seat: no change of", reflect.TypeFor[wire.Seat]().Field(i).Name)
		}
	}
	for i := range reflect.TypeFor[wire.Session]().NumField() {
		was, is := self(), self()
		was.Sessions, is.Sessions = []wire.Session{whole}, []wire.Session{whole}
		alter(t, reflect.ValueOf(&is.Sessions[0]).Elem().Field(i))
		if wire.DiffSelfSeats(was, is) == nil {
			t.Error("of a session: no change of", reflect.TypeFor[wire.Session]().Field(i).Name)
		}
	}
}

// A change that does not fit what is held is refused whole: the node asks for a Full.
func TestChangeOfSeatsThatDoesNotFit(t *testing.T) {
	a := ward()
	one, two, own := a.Peers[nodeID(1)], a.Peers[nodeID(2)], a.Self
	put := func(node string, seats ...wire.Seat) *wire.Delta {
		d := &wire.SeatDelta{Node: node}
		for _, s := range seats {
			d.Put = append(d.Put, s.Proto())
		}
		return &wire.Delta{Seats: []*wire.SeatDelta{d}}
	}
	end := func(node string, ids ...string) *wire.Delta {
		return &wire.Delta{Seats: []*wire.SeatDelta{{Node: node, End: ids}}}
	}
	both := func(a, b *wire.Delta) *wire.Delta {
		return &wire.Delta{Self: b.Self, Put: b.Put, Remove: b.Remove, Seats: append(a.Seats, b.Seats...)}
	}
	within := func(d *wire.Delta, change func(*wire.SeatDelta)) *wire.Delta { change(d.Seats[0]); return d }
	at9 := func(s wire.Seat, a netip.Addr) wire.Seat {
		s.Addresses, s.Prefixes = []netip.Addr{a}, nil
		return s
	}
	strange := seat(9)
	strange.Prefixes[0].Prefix = netip.PrefixFrom(two.Addresses[0], 32)
	many := make([]wire.Seat, 0, 4094)
	for i := range 4094 {
		a := netip.AddrFrom4([4]byte{100, 126, byte(i >> 8), byte(i)})
		many = append(many, wire.Seat{Session: fmt.Sprintf("z%04d", i), Addresses: []netip.Addr{a}})
	}
	tests := []struct {
		name string
		d    *wire.Delta
		want error
	}{
		{"of a stranger", put(nodeID(3), seat(9)), wire.ErrMalformed},
		{"of nobody", put("", seat(9)), wire.ErrMalformed},
		{"changes nothing", put(one.ID), wire.ErrMalformed},
		{"ends who is not there", end(one.ID, "s9"), wire.ErrMalformed},
		{"ends whose seat is at another", end(two.ID, "s1"), wire.ErrMalformed},
		{"ends one that is not there at the node itself", end(own.ID, "s1"), wire.ErrMalformed},
		{"ends out of order", end(one.ID, "s2", "s1"), wire.ErrMalformed},
		{"ends twice", end(one.ID, "s1", "s1"), wire.ErrMalformed},
		{"seats out of order", put(one.ID, seat(8), seat(7)), wire.ErrMalformed},
		{"one twice", put(one.ID, seat(8), seat(8)), wire.ErrMalformed},
		{"ends and brings", within(put(one.ID, seat(1)), func(d *wire.SeatDelta) { d.End = []string{"s1"} }), wire.ErrMalformed},
		{"ends a session and brings it", within(end(own.ID, "s11"), func(d *wire.SeatDelta) { d.Sessions = []*wire.SessionRecord{session(11).Proto()} }), wire.ErrMalformed},
		{"sessions of a peer", within(put(one.ID, seat(9)), func(d *wire.SeatDelta) { d.Sessions = []*wire.SessionRecord{session(9).Proto()} }), wire.ErrMalformed},
		{"a session of nobody", within(put(own.ID, seat(9)), func(d *wire.SeatDelta) { d.Sessions = []*wire.SessionRecord{{Id: "s9"}} }), wire.ErrMalformed},
		{"sessions out of order", within(put(own.ID, seat(9)), func(d *wire.SeatDelta) {
			d.Sessions = []*wire.SessionRecord{session(9).Proto(), session(8).Proto()}
		}), wire.ErrMalformed},
		{"seat without an address", put(one.ID, wire.Seat{Session: "s9"}), wire.ErrMalformed},
		{"seat of no session", put(one.ID, at9(wire.Seat{}, seat(9).Addresses[0])), wire.ErrMalformed},
		{"class of what is not the seat's", put(one.ID, strange), wire.ErrMalformed},
		{"at the machine's own address", put(one.ID, at9(seat(9), one.Addresses[0])), wire.ErrMalformed},
		{"at the node's own address", put(own.ID, at9(seat(9), own.Addresses[0])), wire.ErrMalformed},
		{"at the address of a seat that stays", put(one.ID, at9(seat(9), seat(2).Addresses[0])), wire.ErrMalformed},
		{"at the address of another machine", put(one.ID, at9(seat(9), two.Addresses[0])), wire.ErrTwoOwners},
		{"at the address of another machine's seat", put(two.ID, at9(seat(9), seat(1).Addresses[0])), wire.ErrTwoOwners},
		{"at the address of this node's seat", put(two.ID, at9(seat(9), seat(11).Addresses[0])), wire.ErrTwoOwners},
		{"here, at the address of another machine's seat", put(own.ID, at9(seat(9), seat(1).Addresses[0])), wire.ErrTwoOwners},
		{"more seats than a record has", put(one.ID, many...), wire.ErrMalformed},
		{"beside the whole record", both(end(one.ID, "s1"), &wire.Delta{Put: []*wire.Peer{one.Proto()}}), wire.ErrMalformed},
		{"beside all of this node", both(end(own.ID, "s11"), &wire.Delta{Self: own.Proto()}), wire.ErrMalformed},
		{"of one who goes", both(end(one.ID, "s1"), &wire.Delta{Remove: []string{one.ID}}), wire.ErrMalformed},
		{"one peer twice", both(end(one.ID, "s1"), end(one.ID, "s2")), wire.ErrMalformed},
		{"this node twice", both(end(own.ID, "s11"), end(own.ID, "s12")), wire.ErrMalformed},
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
	// An address may go from who leaves to who comes, and from machine to machine.
	for name, d := range map[string]*wire.Delta{
		"from seat to seat":       within(put(one.ID, at9(seat(9), seat(1).Addresses[0])), func(d *wire.SeatDelta) { d.End = []string{"s1"} }),
		"from machine to machine": both(put(two.ID, seat(1)), end(one.ID, "s1")),
		"as many as there may be": put(one.ID, many[:4093]...),
	} {
		if _, err := wire.Apply(a, d, at(1, 1, 6)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Seats of a revoked machine are told by a coordinator that lost the revocation: it must
// be given it, and a Full from it would not do.
func TestSeatsOfARevokedMachine(t *testing.T) {
	m := newMesh(t)
	s := m.fold(t, wire.State{}, wire.NewFull(m.to, ward()))
	k := nodeKey(1)
	s = m.fold(t, s, wire.NewRevocation(m.id, at(1, 1, 5), k.Public(), now()))
	d := &wire.Delta{Seats: []*wire.SeatDelta{{Node: nodeID(1), End: []string{"s1"}}}}
	got, err := s.Fold(m.to, m.open(t, wire.NewDelta(m.to, 5, at(1, 1, 6), d)))
	if !errors.Is(err, wire.ErrRevoked) || !same(got.Map, s.Map) {
		t.Errorf("error %v", err)
	}
}

// Fields with numbers above 31 are counted like the others.
func TestExpansionOfSeatsIsBounded(t *testing.T) {
	m := newMesh(t)
	inside := func(field protowire.Number, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), inner)
	}
	many := func(field protowire.Number, n int) (b []byte) {
		for range n {
			b = append(b, inside(field, nil)...)
		}
		return b
	}
	for name, payload := range map[string][]byte{
		"seats of a peer": inside(7, inside(2, many(190, 5000))),
		"changes":         inside(8, many(190, 100_001)),
		"seats put":       inside(8, inside(190, many(2, 5000))),
		"an end twice":    inside(7, inside(2, []byte{0x80, 0x0a, 1, 0x80, 0x0a, 2})),
	} {
		if _, err := wire.Open(m.trust, wire.Sign(&m.mapK, payload), now()); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkApplySeats is what a node does when one of 64 people at a peer signs out: told
// as a change of seats, and as the peer's whole record.
func BenchmarkApplySeats(b *testing.B) {
	was := peer(1, 1)
	for n := range byte(64) {
		was.Seats = append(was.Seats, seat(100+n))
	}
	is := was
	is.Seats = was.Seats[1:]
	m := standing(at(1, 1, 5), was)
	for name, d := range map[string]*wire.Delta{
		"change": {Seats: []*wire.SeatDelta{wire.DiffPeerSeats(was, is)}},
		"whole":  {Put: []*wire.Peer{is.Proto()}},
	} {
		payload, err := proto.Marshal(d)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				got := new(wire.Delta)
				if err := proto.Unmarshal(payload, got); err != nil {
					b.Fatal(err)
				}
				if _, err := wire.Apply(m, got, at(1, 1, 6)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
