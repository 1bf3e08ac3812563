package control_test

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/internal/policytime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// virtual runs a test in virtual time, on a day of our century.
func virtual(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// recorder is a Listener that writes down what it hears.
type recorder struct {
	mu        sync.Mutex
	maps      []wire.Map
	leases    []wire.Leased
	confirmed int
	hints     map[string]control.Hint
	offers    []wire.RelayOffer
	contacts  []error
	trouble   map[string]string
}

func (r *recorder) Map(m wire.Map) { r.mu.Lock(); defer r.mu.Unlock(); r.maps = append(r.maps, m) }
func (r *recorder) Lease(l wire.Leased) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leases = append(r.leases, l)
}
func (r *recorder) Confirmed() { r.mu.Lock(); defer r.mu.Unlock(); r.confirmed++ }
func (r *recorder) Contact(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contacts = append(r.contacts, err)
}
func (r *recorder) Hint(peer string, at control.Hint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hints[peer] = at
}

func (r *recorder) Relays(o wire.RelayOffer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offers = append(r.offers, o)
}

func (r *recorder) Trouble(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.trouble, what); err != nil {
		r.trouble[what] = err.Error()
	}
}

// rig is a node's follower with a coordinator that the test plays.
type rig struct {
	t     *testing.T
	c     *controltest.Coordinator
	path  string
	dir   *control.Dir
	keys  *control.Keys
	clock *policytime.Clock
	wall  func() time.Time
	dial  control.Dial

	active    func() []control.Activity  // of the machine's people; nil: nobody is there
	signedOut func() []control.SignedOut // likewise, who left

	*recorder
	follower *control.Follower
	start    wire.State
	loadErr  error
	cancel   context.CancelFunc
	done     chan struct{}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, c: controltest.InMemory(t), path: filepath.Join(t.TempDir(), "state"), wall: time.Now}
	r.dial = r.c.Dial
	r.open()
	t.Cleanup(r.close)
	if err := r.dir.SaveIdentity(r.identity()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.dir, err = control.OpenDir(r.path); err != nil {
		r.t.Fatal(err)
	}
	if r.keys, err = r.dir.Keys(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close() {
	r.stop()
	r.dir.Close()
}

// identity is what enrolment would have given.
func (r *rig) identity() *control.Identity {
	cert, err := proto.Marshal(r.c.Mesh.MapKeyCertificate())
	if err != nil {
		r.t.Fatal(err)
	}
	public := r.keys.Node.Public()
	return &control.Identity{URL: r.c.URL, Root: r.c.Mesh.Root.Public(), Node: wire.NodeID(public),
		Chain: r.c.Mesh.NodeChain(public), MapKeys: [][]byte{cert}}
}

// begin starts the follower on what is on the disk, as a daemon does.
func (r *rig) begin() *rig {
	r.t.Helper()
	id, err := r.dir.Identity()
	if err != nil {
		r.t.Fatal(err)
	}
	begun := time.Now()
	boot := func() time.Duration { return time.Since(begun) }
	if r.clock, err = policytime.New(policytime.Options{Store: policytime.File(r.dir.PolicyTimeFile()), Wall: r.wall, Boot: boot}); err != nil {
		r.t.Fatal(err)
	}
	r.recorder = &recorder{hints: map[string]control.Hint{}, trouble: map[string]string{}}
	r.start, r.loadErr = r.dir.Load(id)
	r.follower, err = control.NewFollower(control.Options{
		Dir: r.dir, Keys: r.keys, Identity: id, Clock: r.clock, Listener: r.recorder, Version: "test", Dial: r.dial,
		Facts: func() control.Facts {
			return control.Facts{Endpoints: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:51820")}, Port: 51820, Relay: "ward"}
		},
		Log: slog.New(slog.DiscardHandler), Active: r.active, SignedOut: r.signedOut,
	}, r.start)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	r.cancel, r.done = cancel, done
	follower := r.follower
	go func() { defer close(done); follower.Run(ctx) }()
	return r
}

// started begins unless it has begun.
func (r *rig) started() *rig {
	r.t.Helper()
	if r.cancel == nil {
		return r.begin()
	}
	return r
}

func (r *rig) stop() {
	if r.cancel != nil {
		r.cancel()
		<-r.done
		r.cancel = nil
	}
}

// reboot is a stop and a start from the disk.
func (r *rig) reboot() *rig {
	r.t.Helper()
	r.close()
	r.open()
	return r.begin()
}

func (r *rig) to() wire.Recipient { return r.c.Mesh.To(r.keys.Node.Public()) }

// at is this node's map at a position.
func (r *rig) at(p wire.Position, peers ...wire.PeerRecord) wire.Map {
	return controltest.Map(p, controltest.Self(r.keys.Node.Public(), "self", "100.64.0.1"), []uint16{443}, peers...)
}

func (r *rig) full(m wire.Map) *wire.FollowResponse {
	return controltest.Signed(r.c.Mesh.Sign(wire.NewFull(r.to(), m)))
}

func (r *rig) delta(a, b wire.Map) *wire.FollowResponse {
	return controltest.Signed(r.c.Mesh.Sign(wire.NewDelta(r.to(), a.Revision, b.Position(), wire.Diff(a, b))))
}

func (r *rig) lease(p wire.Position, at time.Time) *wire.FollowResponse {
	return controltest.Signed(r.c.Mesh.Sign(wire.NewLease(r.c.Mesh.ID(), p, at)))
}

func (r *rig) revoke(p wire.Position, peer wire.PeerRecord) *wire.FollowResponse {
	return controltest.Signed(r.c.Mesh.Sign(wire.NewRevocation(r.c.Mesh.ID(), p, peer.NodeKey, time.Now())))
}

// send lets the node take messages in, to the last.
func (r *rig) send(s *controltest.Stream, m ...*wire.FollowResponse) {
	r.t.Helper()
	s.Send(m...)
	synctest.Wait()
}

// holds fails unless the last map is at a position, with these peers.
func (r *rig) holds(want wire.Position, peers ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.maps) == 0 {
		r.t.Fatalf("no map is in force, want %+v", want)
	}
	m := r.maps[len(r.maps)-1]
	if got := names(m); m.Position() != want || !slices.Equal(got, peers) {
		r.t.Fatalf("in force is %+v with %v, want %+v with %v", m.Position(), got, want, peers)
	}
}

func names(m wire.Map) []string {
	var out []string
	for _, p := range m.Peers {
		out = append(out, p.Name)
	}
	slices.Sort(out)
	return out
}

// alive tells whether the node is still in a session.
func alive(s *controltest.Stream) bool {
	synctest.Wait()
	select {
	case <-s.Gone():
		return false
	default:
		return true
	}
}

func (r *rig) inTrouble() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.trouble))
}

func (r *rig) lastContact() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.contacts) == 0 {
		return nil
	}
	return r.contacts[len(r.contacts)-1]
}

func (r *rig) file(name string) string { return filepath.Join(r.path, name) }

func (r *rig) readFile(name string) []byte {
	r.t.Helper()
	b, err := os.ReadFile(r.file(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) writeFile(name string, b []byte) {
	r.t.Helper()
	if err := os.WriteFile(r.file(name), b, 0o600); err != nil {
		r.t.Fatal(err)
	}
}
