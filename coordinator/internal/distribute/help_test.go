package distribute_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/coordinator/internal/distribute"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tester is what *testing.T, *testing.B and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

const secret = "a-secret-of-many-uses"

// world is a mesh with a coordinator's registry and hub, on a journal in memory.
type world struct {
	t        tester
	journal  *storetest.Memory
	ahead    atomic.Int64 // of the registry's clock, in nanoseconds
	registry *registry.Registry
	hub      *distribute.Hub
	root     key.RootPrivate
	trust    *wire.Trust
	states   map[uint64]*registry.State // by revision, as far as commands went through do
	stop     func()

	mu      sync.Mutex
	mapKeys []wireKey // newest first
	log     *records
	alarms  atomic.Int64

	relays []wire.RelayRecord

	reseated  atomic.Int64 // changes of seats that were told by themselves
	listen    bool         // note in signedFor
	signedFor []string     // nodes whose maps were signed, in order
}

type wireKey struct {
	private key.MapPrivate
	cert    *wire.MapKeyCertificate
}

// begin starts a mesh whose one token enrols nodes of user ana, tagged by TagNode.
func begin(t tester) *world {
	t.Helper()
	w := &world{t: t, journal: storetest.NewMemory(), root: key.NewRoot(), states: map[uint64]*registry.State{}, log: &records{}}
	w.trust = wire.NewTrust(w.root.Public())
	w.renew()
	var err error
	if w.registry, err = registry.New(context.Background(), w.journal, registry.Config{Clock: w.clock, RoleScopes: func(role string) []string { return []string{role} }}); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.do(registry.Init{Mesh: wire.MeshIDOf(w.root.Public()), Domain: "mesh.example",
		IPv4: netip.MustParsePrefix("100.64.0.0/10"), IPv6: netip.MustParsePrefix("fd12:3456:789a::/48")})
	w.do(registry.CreateToken{ID: "t", Secret: registry.HashSecret(secret), Kind: registry.EnrolToken, User: "ana@clinic.example", Uses: 100_000,
		Lifetime: registry.MaxTokenLifetime})
	return w
}

func (w *world) clock() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// run starts registry and hub; stop ends them, the hub first.
func (w *world) run() {
	w.hub = distribute.New(distribute.Config{Source: w.registry, Sign: w.sign, Keys: w.keys, Now: time.Now, Log: slog.New(w.log), Alarm: func() { w.alarms.Add(1) },
		Relays: w.offered, Ticket: w.ticket})
	ctx, stopHub := context.WithCancel(context.Background())
	writing, stopRegistry := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.check(w.registry.Run(writing)) })
	hubEnded := make(chan struct{})
	wg.Go(func() { defer close(hubEnded); w.check(w.hub.Run(ctx)) })
	w.stop = func() { stopHub(); <-hubEnded; stopRegistry(); wg.Wait() }
}

func (w *world) check(err error) {
	if err != nil {
		w.t.Errorf("ended with %v", err)
	}
}

// renew makes a new map key, and keeps the one before it.
func (w *world) renew() {
	k := key.NewMap()
	cert := wire.SignMapKey(&w.root, wire.MapKey{Key: k.Public(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), Replica: "one"})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mapKeys = append([]wireKey{{k, cert}}, w.mapKeys...)
}

// day lets a day pass by, in which the map key is renewed in time.
func (w *world) day() {
	for range 2 {
		time.Sleep(12 * time.Hour)
		w.renew()
	}
}

func (w *world) sign(payloads [][]byte) []*wire.Signed {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range payloads {
		if e := new(wire.Envelope); w.listen && proto.Unmarshal(p, e) == nil && e.Node != "" {
			w.signedFor = append(w.signedFor, e.Node)
		}
	}
	return wire.SignBatch(&w.mapKeys[0].private, payloads)
}

func (w *world) keys() (out []*wire.MapKeyCertificate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.mapKeys[:min(2, len(w.mapKeys))] {
		out = append(out, k.cert)
	}
	return out
}

// do has a command decided, and remembers the state after it.
func (w *world) do(c registry.Command) registry.Result {
	w.t.Helper()
	r, err := w.try(c)
	if err != nil {
		w.t.Fatalf("%T: %v", c, err)
	}
	return r
}

func (w *world) try(c registry.Command) (registry.Result, error) {
	r, err := w.registry.Do(context.Background(), registry.System, c)
	s := w.registry.Snapshot()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[s.Revision] = s
	return r, err
}

func (w *world) policy(text string) {
	w.t.Helper()
	w.do(registry.SetPolicy{Text: text, File: "policy.hujson"})
}

// enrol makes a node with the given tags; without any it is ana's.
func (w *world) enrol(tags ...string) *node {
	w.t.Helper()
	n := newNode(w)
	w.do(n.enrolment())
	if len(tags) > 0 {
		w.do(registry.TagNode{Node: n.id, Tags: tags})
	}
	return n
}

// wanted is the map that a node should hold at a state, compiled from nothing
// and put together without the hub: what the hub's work is held against.
func wanted(s *registry.State, id string) wire.Map {
	pol, err := s.Policy().Parsed()
	if err != nil {
		panic(err)
	}
	mesh := compile.New(pol, s.Ranges())
	mesh.RequireSignIn(s.SignIn)
	mesh.Advance(s.Observed().Time)
	var all []compile.Node
	for n := range s.Nodes() {
		if out := shutOut(s, n); n.Approved && !out {
			facts, groups := knownOf(s, mesh, n, "")
			roles := []string(nil)
			user, also := n.Owner(), []string(nil)
			for u := range s.Users() {
				if slices.Contains(u.Former, user) {
					user, also = u.Login, u.Former
				} else if u.Login == user {
					also = u.Former
				}
				if user == u.Login {
					roles = meant(s.RolesOf(u.ID))
				}
			}
			all = append(all, compile.Node{ID: n.ID, Name: n.Name, User: user, Also: also, Tags: n.Tags, Addrs: n.Addresses, Routes: n.Routes(),
				Groups: groups, Roles: roles, Facts: facts, Seats: wantedSeats(s, mesh, n)})
		}
	}
	mesh.Load(all)
	n, _ := s.Node(id)
	m := wire.Map{Incarnation: s.Incarnation, Revision: s.Revision, Epoch: s.Epoch, Peers: map[string]wire.PeerRecord{}, Rules: mesh.Rules(id)}
	m.Self = wire.SelfRecord{ID: n.ID, Name: n.Name, NodeKey: n.Key, Addresses: n.Addresses, Routes: n.Routes(),
		Prefixes: mesh.Prefixes(id), Owner: mesh.Owner(id), Ranges: s.Ranges(), Domain: s.Domain, Pending: !n.Approved || shutOut(s, n), Tags: n.Tags, User: n.User,
		Facts: mesh.Facts(id), SignIn: s.SignIn, Seats: toldSeats(mesh, id)}
	for _, one := range s.SortedSessions() {
		if one.Node == id {
			last := one.Logins[len(one.Logins)-1]
			if p := s.Policy(); p != nil && strings.Contains(p.Text, `"idle": "10m"`) {
				m.Self.ActiveEvery = 150 * time.Second
			}
			m.Self.Sessions = append(m.Self.Sessions, wire.Session{ID: one.ID, User: one.Login, At: last.At, Until: one.Until, AMR: last.AMR, ACR: last.ACR, Seat: one.Seat})
		}
	}
	for peer := range mesh.Peers(id) {
		p, _ := s.Node(peer)
		m.Peers[peer] = wire.PeerRecord{ID: p.ID, Name: p.Name, NodeKey: p.Key, Statement: p.Statement, TunnelKey: p.TunnelKey, PathKey: p.PathKey,
			Addresses: p.Addresses, Routes: p.Routes(), Prefixes: mesh.Prefixes(peer), Owner: mesh.Owner(peer), Facts: mesh.Facts(peer), Seats: toldSeats(mesh, peer)}
	}
	return m
}

// meant gives the names that the language has for roles.
func meant(roles []string) (names []string) {
	for _, role := range roles {
		names = append(names, map[string][]string{"owner": {"owner", "admin"}, "device-admin": {"it-admin"}, "policy-admin": {"network-admin"}, "auditor": {"auditor"}}[role]...)
	}
	return names
}

func shutOut(s *registry.State, n *registry.Node) bool {
	for u := range s.Users() {
		if n.Owner() == u.Login || slices.Contains(u.Former, n.Owner()) {
			return u.Disabled
		}
	}
	return false
}

// knownOf gives the facts of a node, or of one seat there, and the groups of its owner.
func knownOf(s *registry.State, mesh *compile.Mesh, n *registry.Node, seat string) ([]acl.FactEnd, []string) {
	login, at := n.Owner(), s.Observed().Time
	if slices.ContainsFunc(s.SortedSessions(), func(one *registry.Session) bool { return one.Node == n.ID && one.Seat == seat }) {
		at = at.Add(-24*time.Hour - mesh.Drains())
	}
	var e compile.Evidence
	var groups []string
	for u := range s.Users() {
		if login == u.Login || slices.Contains(u.Former, login) {
			groups = u.Groups
		}
		for one := range s.Sessions() {
			if one.Node != n.ID || one.User != u.ID || one.Seat != seat {
				continue
			}
			if e.SignedIn, e.Presence = one.Until, (&compile.Presence{Kind: "login", Until: one.Until}); login == "" {
				login, e.Person = u.Login, compile.Node{User: u.Login, Also: u.Former, Groups: u.Groups, Roles: meant(s.RolesOf(u.ID))}
			}
			for _, heard := range []time.Time{one.Heard, one.Active} {
				if heard.After(at) {
					at = heard
				}
			}
			for _, l := range one.Logins {
				e.Logins = append(e.Logins, compile.Login{At: l.At, Until: l.Until, AMR: l.AMR})
			}
		}
	}
	for one := range s.Sessions() {
		if one.Node == n.ID && one.Seat == seat && e.Presence != nil {
			e.Presence.Pause = one.Pause
			e.Presence.Idle = min(at.Sub(one.Heard), at.Sub(one.Active))
		}
	}
	duty := s.Observed().Duty["icu"]
	e.OnDuty = map[string]time.Time{"icu": duty[login]}
	for u := range s.Users() {
		if login == u.Login || slices.Contains(u.Former, login) {
			for _, l := range append([]string{u.Login}, u.Former...) {
				if duty[l].After(e.OnDuty["icu"]) {
					e.OnDuty["icu"] = duty[l]
				}
			}
		}
	}
	return mesh.FactsOf(&e, at), groups
}

// records keeps what was logged.
type records struct {
	mu    sync.Mutex
	lines []string
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }

func (r *records) Handle(_ context.Context, line slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := line.Level.String() + " " + line.Message
	line.Attrs(func(a slog.Attr) bool { text += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	r.lines = append(r.lines, text)
	return nil
}

func (r *records) count(level string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		if len(line) >= len(level) && line[:len(level)] == level {
			n++
		}
	}
	return n
}

var errStopped = errors.New("the test stopped this node")

// state gives the mesh as it was at a revision.
func (w *world) state(revision uint64) (*registry.State, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.states[revision]; ok {
		return s, true
	}
	s := w.registry.Snapshot()
	return s, s.Revision == revision
}

// hear begins to note whose maps are signed.
func (w *world) hear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listen = true
}

// heard gives whose maps were signed since, in order.
func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.signedFor)
}
