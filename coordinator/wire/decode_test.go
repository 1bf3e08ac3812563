package wire_test

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// One field of a good Full goes wrong at a time. All of it is refused, and the
// node keeps what it had.
func TestOneWrongFieldRefusesTheMessage(t *testing.T) {
	m := newMesh(t)
	good := standing(at(1, 1, 5), peer(1, 1), peer(2, 1))
	first := good.Full().Peers[0]
	tests := map[string]func(f *wire.Full){
		"no self":                 func(f *wire.Full) { f.Self = nil },
		"id of another key":       func(f *wire.Full) { f.Peers[0].Id = "n-00000000000000000000" },
		"short node key":          func(f *wire.Full) { f.Peers[0].NodeKey = f.Peers[0].NodeKey[1:] },
		"zero node key":           func(f *wire.Full) { f.Peers[0].NodeKey = make([]byte, 32) },
		"name in capitals":        func(f *wire.Full) { f.Peers[0].Name = "Peer" },
		"name with a dot":         func(f *wire.Full) { f.Peers[0].Name = "a.b" },
		"name with a hyphen last": func(f *wire.Full) { f.Peers[0].Name = "a-" },
		"name too long":           func(f *wire.Full) { f.Peers[0].Name = strings.Repeat("a", 64) },
		"no name":                 func(f *wire.Full) { f.Self.Name = "" },
		"address with a zone":     func(f *wire.Full) { f.Peers[0].Addresses, f.Peers[0].Prefixes = []string{"fe80::1%eth0"}, nil },
		"address mapped":          func(f *wire.Full) { f.Peers[0].Addresses, f.Peers[0].Prefixes = []string{"::ffff:100.64.0.2"}, nil },
		"address in long form":    func(f *wire.Full) { f.Peers[0].Addresses = append(f.Peers[0].Addresses, "fd00:0::2") },
		"address twice":           func(f *wire.Full) { f.Self.Addresses = append(f.Self.Addresses, f.Self.Addresses[1]) },
		"addresses out of order":  func(f *wire.Full) { slices.Reverse(f.Self.Addresses) },
		"route not masked":        func(f *wire.Full) { f.Peers[0].Routes = []string{"10.0.0.1/8"} },
		"route mapped":            func(f *wire.Full) { f.Peers[0].Routes = []string{"::ffff:10.0.0.0/104"} },
		"route is no prefix":      func(f *wire.Full) { f.Peers[0].Routes = []string{"10.0.0.0"} },
		"class for a stranger": func(f *wire.Full) {
			f.Peers[0].Prefixes = []*wire.PrefixClass{{Prefix: "192.0.2.0/24", Class: 1}}
		},
		"class for more than the route": func(f *wire.Full) {
			f.Peers[0].Routes = []string{"10.0.0.0/16"}
			f.Peers[0].Prefixes = []*wire.PrefixClass{{Prefix: "10.0.0.0/8", Class: 1}}
		},
		"class beside the route": func(f *wire.Full) {
			f.Peers[0].Routes = []string{"10.1.0.0/16"}
			f.Peers[0].Prefixes = []*wire.PrefixClass{{Prefix: "10.2.1.0/24", Class: 1}}
		},
		"class for more than the address": func(f *wire.Full) {
			f.Peers[0].Addresses = []string{"192.0.2.2"}
			f.Peers[0].Prefixes = []*wire.PrefixClass{{Prefix: "192.0.2.2/31", Class: 1}}
		},
		"route in capitals": func(f *wire.Full) { f.Peers[0].Routes = []string{"FD00:1::/48"} },
		"two classes for one prefix": func(f *wire.Full) {
			p := f.Peers[0].Prefixes[0]
			f.Peers[0].Prefixes = append(f.Peers[0].Prefixes, &wire.PrefixClass{Prefix: p.Prefix, Class: p.Class + 1})
		},
		"seat without an address": func(f *wire.Full) { f.Peers[0].Seats = []*wire.SeatRecord{{Session: "s"}} },
		"seat of no session":      func(f *wire.Full) { f.Peers[0].Seats = []*wire.SeatRecord{{Addresses: []string{"100.64.9.9"}}} },
		"seat at the machine's own address": func(f *wire.Full) {
			f.Peers[0].Seats = []*wire.SeatRecord{{Session: "s", Addresses: f.Peers[0].Addresses}}
		},
		"two seats at one address": func(f *wire.Full) {
			f.Peers[0].Seats = []*wire.SeatRecord{{Session: "s", Addresses: []string{"100.64.9.9"}}, {Session: "t", Addresses: []string{"100.64.9.9"}}}
		},
		"class of what is not the seat's": func(f *wire.Full) {
			f.Peers[0].Seats = []*wire.SeatRecord{{Session: "s", Addresses: []string{"100.64.9.9"}, Prefixes: []*wire.PrefixClass{{Prefix: f.Peers[0].Addresses[0] + "/32", Class: 9}}}}
		},
		"fact without a name":       func(f *wire.Full) { f.Peers[0].Facts = []*wire.FactEnd{{Until: 1}} },
		"fact twice":                func(f *wire.Full) { f.Peers[0].Facts = []*wire.FactEnd{{Fact: "a", Until: 1}, {Fact: "a", Until: 2}} },
		"fact before time began":    func(f *wire.Full) { f.Peers[0].Facts = []*wire.FactEnd{{Fact: "a", Until: -1}} },
		"fact after time ends":      func(f *wire.Full) { f.Peers[0].Facts = []*wire.FactEnd{{Fact: "a", Until: 1 << 60}} },
		"domain in capitals":        func(f *wire.Full) { f.Self.Domain = "Mesh.example" },
		"domain too long":           func(f *wire.Full) { f.Self.Domain = strings.Repeat("a.", 127) + "a" },
		"user with a line break":    func(f *wire.Full) { f.Self.User = "a\nb" },
		"tags out of order":         func(f *wire.Full) { f.Self.Tags = []string{"tag:b", "tag:a"} },
		"peer twice":                func(f *wire.Full) { f.Peers = append(f.Peers, f.Peers[1]) },
		"own record as a peer":      func(f *wire.Full) { *f = *fullWithSelfAsPeer(f) },
		"statement forged":          func(f *wire.Full) { f.Peers[0].Statement.Signature[5] ^= 1 },
		"statement changed":         func(f *wire.Full) { f.Peers[0].Statement.Payload[5] ^= 1 },
		"statement empty":           func(f *wire.Full) { f.Peers[0].Statement = &wire.Statement{} },
		"statement too long":        func(f *wire.Full) { f.Peers[0].Statement.Payload = make([]byte, 1025) },
		"rule without id":           func(f *wire.Full) { f.Rules.In[0].Id = "" },
		"rule with class 0":         func(f *wire.Full) { f.Rules.In[0].Dst = []uint64{0} },
		"rule's classes unsorted":   func(f *wire.Full) { f.Rules.In[0].Src = []uint64{9, 7} },
		"rule's port range reverse": func(f *wire.Full) { f.Rules.In[0].Open[0].First = 23 },
		"rule's port too large":     func(f *wire.Full) { f.Rules.In[0].Open[0].Last = 65536 },
		"rule's protocol too large": func(f *wire.Full) { f.Rules.In[0].Open[0].Protocol = 256 },
		"rule's hold negative":      func(f *wire.Full) { f.Rules.In[0].Hold = -1 },
		"rule's hold overflows":     func(f *wire.Full) { f.Rules.In[0].Hold = 1 << 40 },
		"rule's end negative":       func(f *wire.Full) { f.Rules.In[0].NotAfter = -1 },
		"rule's log level":          func(f *wire.Full) { f.Rules.In[0].Log = 5 },
		"rule's drain negative":     func(f *wire.Full) { f.Rules.In[0].Drain = -1 },
		"rule's drain overflows":    func(f *wire.Full) { f.Rules.In[0].Drain = 1 << 40 },
		"rule's limit of both":      func(f *wire.Full) { f.Rules.In[0].Limit = &wire.Limit{Bytes: 1, Flows: 1, Window: 1, OnExceed: 1} },
		"rule's limit of nothing":   func(f *wire.Full) { f.Rules.In[0].Limit = &wire.Limit{Window: 1, OnExceed: 1} },
		"rule's limit's window":     func(f *wire.Full) { f.Rules.In[0].Limit = &wire.Limit{Bytes: 1, OnExceed: 1} },
		"rule's limit overflows":    func(f *wire.Full) { f.Rules.In[0].Limit = &wire.Limit{Bytes: 1, Window: 1 << 40, OnExceed: 1} },
		"rule's limit does nothing": func(f *wire.Full) { f.Rules.In[0].Limit = &wire.Limit{Bytes: 1, Window: 1} },
		"forbidding without id":     func(f *wire.Full) { f.Rules.ForbidIn[0].Id = "" },
		"forbidding class 0":        func(f *wire.Full) { f.Rules.ForbidOut[0].Dst = []uint64{0} },
		"pending, and forbidden":    func(f *wire.Full) { f.Self.Pending, f.Peers, f.Rules.In = true, nil, nil },
		"own end negative":          func(f *wire.Full) { f.Self.Until = -1 },
		"peer's end negative":       func(f *wire.Full) { f.Peers[0].Until = -1 },
		"rule's needs twice":        func(f *wire.Full) { f.Rules.In[0].Needs = []string{"login", "login"} },
		"pending with rules":        func(f *wire.Full) { f.Self.Pending, f.Peers = true, nil },
		"prefix of two peers": func(f *wire.Full) {
			f.Peers[1].Routes = []string{first.Prefixes[0].Prefix}
		},
		"address of two peers": func(f *wire.Full) {
			f.Peers[1].Addresses, f.Peers[1].Prefixes = first.Addresses, nil
		},
		"address of a peer and of another's seat": func(f *wire.Full) {
			f.Peers[1].Seats = []*wire.SeatRecord{{Session: "s", Addresses: first.Addresses}}
		},
		"name of two peers": func(f *wire.Full) { f.Peers[1].Name = first.Name },
	}
	had := m.fold(t, wire.State{}, wire.NewFull(m.to, good))
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			f := clone(good.Full())
			spoil(f)
			e := wire.NewFull(m.to, standing(at(1, 1, 6)))
			e.Body = &wire.Envelope_Full{Full: f}
			got, err := had.Fold(m.to, m.open(t, e))
			if !errors.Is(err, wire.ErrMalformed) && !errors.Is(err, wire.ErrTwoOwners) && !errors.Is(err, key.ErrSignature) {
				t.Fatalf("error %v", err)
			}
			if !same(got.Map, had.Map) {
				t.Fatal("a part of it was taken")
			}
		})
	}
}

func fullWithSelfAsPeer(f *wire.Full) *wire.Full {
	g := clone(f)
	g.Self.Addresses, g.Self.Prefixes, g.Self.Name = nil, nil, "other"
	g.Peers = append(g.Peers, &wire.Peer{Id: f.Self.Id, Name: "self", NodeKey: f.Self.NodeKey})
	slices.SortFunc(g.Peers, func(a, b *wire.Peer) int { return strings.Compare(a.Id, b.Id) })
	return g
}

// Peers are a set: a coordinator sends them as it finds them.
func TestOrderOfPeersDoesNotMatter(t *testing.T) {
	m := newMesh(t)
	a := standing(at(1, 1, 5), peer(1, 1), peer(2, 1), peer(3, 1))
	e := wire.NewFull(m.to, a)
	slices.Reverse(e.GetFull().Peers)
	if got := m.fold(t, wire.State{}, e).Map; !same(got, a) || got.Digest() != a.Digest() {
		t.Fatal("another map")
	}
}

func TestCanonicalFormDoesNotDependOnOrder(t *testing.T) {
	a := standing(at(1, 1, 5), peer(1, 1))
	b := standing(at(1, 1, 5), peer(1, 1))
	slices.Reverse(b.Self.Addresses)
	b.Self.Ranges = append(b.Self.Ranges, b.Self.Ranges[0])
	b.Rules.In[0].Src = []acl.Class{9, 7, 9}
	if a.Digest() != b.Digest() || !wire.Diff(a, b).IsEmpty() {
		t.Fatal("order changed the digest")
	}
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	b.Rules.In = append(b.Rules.In, b.Rules.In[0])
	if a.Digest() == b.Digest() {
		t.Fatal("a rule more, and the same digest")
	}
}

// A time between two seconds is rounded to the side that permits less, and no
// bound becomes "without bound".
func TestTimesAreRoundedToPermitLess(t *testing.T) {
	half := now().Add(500 * time.Millisecond)
	m := standing(at(1, 1, 1), peer(1, 1))
	p := peer(1, 1)
	p.Facts = []acl.FactEnd{{Fact: "login", Until: half}}
	m.Peers[p.ID] = p
	r := &m.Rules.In[0]
	r.NotBefore, r.NotAfter, r.Hold, r.Drain = half, half, 1500*time.Millisecond, 1500*time.Millisecond
	r.Limit = acl.Limit{Flows: 1, Window: 1500 * time.Millisecond, OnExceed: acl.Cut}
	forbids := &m.Rules.ForbidIn[0]
	forbids.NotBefore, forbids.NotAfter = half, half
	f := m.Full()
	if got := f.Peers[0].Facts[0].Until; got != now().Unix() {
		t.Error("fact ends at", got)
	}
	if got := f.Rules.In[0]; got.NotBefore != now().Unix()+1 || got.NotAfter != now().Unix() || got.Hold != 1 || got.Drain != 1 || got.Limit.Window != 2 {
		t.Error("rule", got)
	}
	if got := f.Rules.ForbidIn[0]; got.NotBefore != now().Unix() || got.NotAfter != now().Unix()+1 {
		t.Error("rule that forbids", got)
	}
	ancient := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)
	p.Facts[0].Until, r.NotBefore, r.NotAfter, r.Hold, r.Drain = ancient, ancient, ancient, time.Millisecond, time.Millisecond
	forbids.NotBefore, forbids.NotAfter = ancient, ancient
	f = m.Full()
	if got := f.Peers[0].Facts[0].Until; got != 0 {
		t.Error("fact ends at", got)
	}
	if got := f.Rules.In[0]; got.NotBefore != 0 || got.NotAfter != 1 || got.Hold != 1 || got.Drain != 0 {
		t.Error("rule", got)
	}
	if got := f.Rules.ForbidIn[0]; got.NotBefore != 0 || got.NotAfter != 1 {
		t.Error("rule that forbids", got)
	}
	r.NotBefore, r.NotAfter, r.Hold, p.Facts[0].Until = time.Time{}, time.Time{}, 0, time.Time{}
	f = m.Full()
	if got := f.Rules.In[0]; got.NotBefore != 0 || got.NotAfter != 0 || got.Hold != 0 || f.Peers[0].Facts[0].Until != 0 {
		t.Error("zero times", got)
	}
}

// A limit that a later build knows how to keep closes its rule here.
func TestRuleWithAnUnknownExceedNeedsAFeatureThatNobodyHas(t *testing.T) {
	for exceed, want := range map[acl.Exceed][]string{acl.Cut: {"same-owner"}, acl.Cut + 1: {"same-owner", wire.FeatureUnknown}} {
		m := standing(at(1, 1, 1))
		m.Rules.In[0].Limit = acl.Limit{Bytes: 7, Window: 90 * time.Minute, OnExceed: exceed}
		got, err := wire.ParseRules(m.Full().Rules)
		if err != nil || got.In[0].Limit != m.Rules.In[0].Limit || !slices.Equal(got.In[0].Features, want) {
			t.Errorf("%d: %+v, %v", exceed, got.In, err)
		}
	}
}

// A later coordinator may put a condition into a rule that this build does not
// know. The rule must not become wider for it.
func TestRuleWithAnUnknownFieldNeedsAFeatureThatNobodyHas(t *testing.T) {
	set := wire.RulesProto(rules())
	spoil := []func(){
		func() {
			set.In[0].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
		},
		func() {
			set.In[0].ProtoReflect().SetUnknown(nil)
			set.In[0].Open[0].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
			set.ForbidOut[0].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
		},
	}
	var got acl.RuleSet
	for _, f := range spoil {
		f()
		b, err := proto.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		var back wire.RuleSet
		if err := proto.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if got, err = wire.ParseRules(&back); err != nil || !slices.Equal(got.In[0].Features, []string{"same-owner", wire.FeatureUnknown}) {
			t.Fatal(got.In[0].Features, err)
		}
	}
	if features := got.ForbidOut[0].Features; !slices.Equal(features, []string{wire.FeatureUnknown}) {
		t.Fatal("a rule that forbids", features)
	}
}

// Two bytes can ask for an object of a hundred. Nobody but a map key can send
// them, and it gets nowhere either.
func TestExpansionIsBounded(t *testing.T) {
	m := newMesh(t)
	empty := func(field protowire.Number, n int) (b []byte) {
		for range n {
			b = protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), nil)
		}
		return b
	}
	inside := func(field protowire.Number, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), inner)
	}
	full := func(body []byte) []byte { return inside(7, body) }
	tests := map[string][]byte{
		"peers":             full(empty(2, 1<<20)),
		"prefixes":          full(inside(2, empty(6, 1<<20))),
		"rules":             full(inside(3, empty(1, 1<<20))),
		"services":          full(inside(3, inside(1, empty(6, 1<<20)))),
		"classes":           full(inside(3, inside(1, inside(2, make([]byte, 8<<20))))),
		"a thing too often": append(inside(9, nil), inside(9, nil)...),
		"groups":            protowire.AppendTag(nil, 99, protowire.StartGroupType),
		"size":              make([]byte, wire.MaxMessage+1),
	}
	for name, payload := range tests {
		t.Run(name, func(t *testing.T) {
			signed := wire.Sign(&m.mapK, payload)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := wire.Open(m.trust, signed, now())
			runtime.ReadMemStats(&after)
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatal(err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Fatalf("%d bytes were allocated for a payload of %d", grown, len(payload))
			}
		})
	}
}

func TestRoundTripOfPeerWithoutStatement(t *testing.T) {
	p := peer(1, 0)
	got, err := wire.ParsePeer(p.Proto())
	if err != nil || !proto.Equal(got.Proto(), p.Proto()) || got.TunnelKey != p.TunnelKey || got.PathKey != p.PathKey || !got.TunnelKey.IsZero() || !got.PathKey.IsZero() {
		t.Fatal(got, err)
	}
	p = peer(1, 4)
	p.Addresses = append(p.Addresses, netip.MustParseAddr("fd00::2"))
	if got, err = wire.ParsePeer(p.Proto()); err != nil || !proto.Equal(got.Proto(), p.Proto()) || got.TunnelKey != p.TunnelKey || got.PathKey != p.PathKey || got.TunnelKey.IsZero() {
		t.Fatal(got, err)
	}
}
