package wire_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// A small mesh that every test shares the making of: one root, one map key, and
// nodes whose keys follow from their numbers.

func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

type mesh struct {
	root  key.RootPrivate
	mapK  key.MapPrivate
	trust *wire.Trust
	id    wire.MeshID
	to    wire.Recipient
}

func newMesh(t testing.TB) *mesh {
	t.Helper()
	m := &mesh{}
	var err1, err2 error
	m.root, err1 = key.ParseRootPrivate("private-root:" + digits("root"))
	m.mapK, err2 = key.ParseMapPrivate("private-map:" + digits("map"))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	m.id = wire.MeshIDOf(m.root.Public())
	m.to = wire.Recipient{Mesh: m.id, Node: nodeID(0)}
	m.trust = wire.NewTrust(m.root.Public())
	if err := m.trust.Add(wire.SignMapKey(&m.root, m.mapKey())); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mesh) mapKey() wire.MapKey {
	return wire.MapKey{Key: m.mapK.Public(), NotBefore: now().Add(-time.Hour), NotAfter: now().Add(24 * time.Hour), Replica: "r1"}
}

func (m *mesh) sign(t testing.TB, e *wire.Envelope) *wire.Signed {
	t.Helper()
	payload, err := wire.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Sign(&m.mapK, payload)
}

func (m *mesh) open(t testing.TB, e *wire.Envelope) wire.Opened {
	t.Helper()
	o, err := wire.Open(m.trust, m.sign(t, e), now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (m *mesh) fold(t testing.TB, s wire.State, e *wire.Envelope) wire.State {
	t.Helper()
	s, err := s.Fold(m.to, m.open(t, e))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digits(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return hex.EncodeToString(sum[:])
}

func nodeKey(n int) key.NodePrivate {
	k, err := key.ParseNodePrivate("private-node:" + digits(fmt.Sprint("node ", n)))
	if err != nil {
		panic(err)
	}
	return k
}

func nodeID(n int) string { k := nodeKey(n); return wire.NodeID(k.Public()) }

// stated gives the statement of node n at a sequence; 0 is none.
func stated(n int, sequence uint64) (*wire.Statement, wire.StatedKeys) {
	if sequence == 0 {
		return nil, wire.StatedKeys{}
	}
	tunnel, err1 := key.ParseTunnelPrivate("private-tunnel:" + digits(fmt.Sprint("tunnel ", n, sequence)))
	path, err2 := key.ParsePathPrivate("private-path:" + digits(fmt.Sprint("path ", n)))
	if err1 != nil || err2 != nil {
		panic(fmt.Sprint(err1, err2))
	}
	keys := wire.StatedKeys{Tunnel: tunnel.Public(), Path: path.Public(), Sequence: sequence}
	k := nodeKey(n)
	return wire.SignStatement(&k, keys.Tunnel, keys.Path, sequence), keys
}

func self() wire.SelfRecord {
	k := nodeKey(0)
	return wire.SelfRecord{ID: nodeID(0), Name: "self", NodeKey: k.Public(),
		Addresses: []netip.Addr{netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("fd00::1")},
		Prefixes:  []acl.PrefixClass{{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Class: 7}},
		Owner:     3, Ranges: []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd00::/48")},
		Domain: "mesh.example", User: "ada@example.org", SignIn: true, ActiveEvery: 225 * time.Second,
		Sessions: []wire.Session{{ID: "s1", User: "ada@example.org", At: now(), Until: now().Add(time.Hour),
			AMR: []string{"otp", "pwd"}, ACR: "urn:example:loa2", Seat: "ada"}}, Seats: []wire.Seat{seat(250)}, Until: now().Add(24 * time.Hour)}
}

// seat has the n-th address of the last network, which no node of the tests has.
func seat(n byte) wire.Seat {
	a := netip.AddrFrom4([4]byte{100, 127, 255, n})
	return wire.Seat{Session: fmt.Sprint("s", n), Addresses: []netip.Addr{a}, Prefixes: []acl.PrefixClass{{Prefix: netip.PrefixFrom(a, 32), Class: 7}},
		Facts: []acl.FactEnd{{Fact: "login", Until: now().Add(time.Hour)}}}
}

func peer(n int, sequence uint64) wire.PeerRecord {
	k := nodeKey(n)
	s, keys := stated(n, sequence)
	v4 := netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n&255 + 1)})
	return wire.PeerRecord{ID: wire.NodeID(k.Public()), Name: fmt.Sprint("peer-", n), NodeKey: k.Public(), Statement: s,
		TunnelKey: keys.Tunnel, PathKey: keys.Path, Addresses: []netip.Addr{v4},
		Prefixes: []acl.PrefixClass{{Prefix: netip.PrefixFrom(v4, 32), Class: 9}}, Owner: acl.Owner(n), Until: now().Add(48 * time.Hour)}
}

func rules() acl.RuleSet {
	ssh := []acl.Service{{Protocol: acl.TCP, First: 22, Last: 22}}
	forbids := []acl.Rule{{ID: "no-ssh", Src: []acl.Class{7}, Dst: []acl.Class{9}, Open: ssh}}
	return acl.RuleSet{In: []acl.Rule{{ID: "ssh", Src: []acl.Class{7, 9}, Dst: []acl.Class{7},
		Needs: []acl.Fact{"login"}, Open: ssh,
		NotBefore: now(), NotAfter: now().Add(time.Hour), Hold: 720 * time.Hour, Features: []string{"same-owner"}}},
		ForbidIn: forbids, ForbidOut: slices.Clone(forbids)}
}

// standing makes a map of the mesh at a position, with the given peers.
func standing(at wire.Position, peers ...wire.PeerRecord) wire.Map {
	m := wire.Map{Incarnation: at.Incarnation, Revision: at.Revision, Epoch: at.Epoch,
		Self: self(), Peers: map[string]wire.PeerRecord{}, Rules: rules()}
	for _, p := range peers {
		m.Peers[p.ID] = p
	}
	return m
}

func at(incarnation, epoch, revision uint64) wire.Position {
	return wire.Position{Incarnation: incarnation, Revision: revision, Epoch: epoch}
}

const drawnNodes = 6

// drawMap draws a valid map. Statements are never older than those of before.
func drawMap(t *rapid.T, before wire.Map, revision uint64) wire.Map {
	m := wire.Map{Incarnation: 1, Revision: revision, Epoch: 1, Self: self(), Peers: map[string]wire.PeerRecord{}}
	m.Self.Tags = rapid.SampledFrom([][]string{nil, {"tag:a"}, {"tag:a", "tag:b"}}).Draw(t, "tags")
	m.Rules.In = drawRules(t)
	m.Rules.Out = drawRules(t)
	m.Rules.ForbidIn, m.Rules.ForbidOut = drawRules(t), drawRules(t)
	for n := 1; n <= drawnNodes; n++ {
		if !rapid.Bool().Draw(t, "held") {
			continue
		}
		low := uint64(0)
		if old := before.Peers[nodeID(n)]; old.Statement != nil {
			k := nodeKey(n)
			keys, err := wire.VerifyStatement(k.Public(), old.Statement)
			if err != nil {
				t.Fatal(err)
			}
			low = keys.Sequence
		}
		p := peer(n, rapid.Uint64Range(low, 3).Draw(t, "sequence"))
		drawDetails(t, n, &p)
		m.Peers[p.ID] = p
	}
	return m
}

func drawDetails(t *rapid.T, n int, p *wire.PeerRecord) {
	p.Owner = acl.Owner(rapid.Uint64Range(0, 2).Draw(t, "owner"))
	if rapid.Bool().Draw(t, "routes") {
		p.Routes = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", n))}
		p.Prefixes = []acl.PrefixClass{
			{Prefix: p.Routes[0], Class: acl.Class(rapid.Uint64Range(1, 3).Draw(t, "class"))},
			{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.%d.7.0/24", n)), Class: 5}}
	}
	if rapid.Bool().Draw(t, "seat") {
		p.Seats = []wire.Seat{seat(byte(n))}
	}
	if rapid.Bool().Draw(t, "facts") {
		p.Facts = []acl.FactEnd{{Fact: "login", Until: now().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "hours")) * time.Hour)}}
	}
}

func drawRules(t *rapid.T) (out []acl.Rule) {
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		r := rules().In[0]
		r.ID = acl.RuleID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id"))
		r.SameOwner = rapid.Bool().Draw(t, "same owner")
		r.Log = acl.LogLevel(rapid.IntRange(0, 4).Draw(t, "log"))
		r.Drain = time.Duration(rapid.IntRange(0, 2).Draw(t, "drain")) * time.Minute
		r.Limit = rapid.SampledFrom([]acl.Limit{{}, {Bytes: 1 << 30, Window: time.Hour, OnExceed: acl.Cut}, {Flows: 9, Window: time.Minute, OnExceed: acl.Alert}}).Draw(t, "limit")
		r.Monitor = rapid.Bool().Draw(t, "monitor")
		r.Hold = time.Duration(rapid.IntRange(0, 2).Draw(t, "hold")) * time.Hour
		out = append(out, r)
	}
	return out
}

// clone is deep, by way of the wire.
func clone(f *wire.Full) *wire.Full { return proto.CloneOf(f) }

// same compares two maps whole. Statements are messages, which carry caches, so
// they are compared as messages and the rest as values.
func same(a, b wire.Map) bool {
	return proto.Equal(a.Full(), b.Full()) && reflect.DeepEqual(bare(a), bare(b))
}

func bare(m wire.Map) wire.Map {
	m.Peers = maps.Clone(m.Peers)
	for id, p := range m.Peers {
		p.Statement = nil
		m.Peers[id] = p
	}
	return m
}
