package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/policytime"
)

const (
	silence    = 65 * time.Second // three heartbeats and a little: the stream is dead
	minBackoff = 250 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// Facts are what a node tells of itself.
type Facts struct {
	Endpoints  []netip.AddrPort
	Port       uint16
	Advertised []netip.Prefix
}

// Listener hears what the follower learns, from one goroutine. It must not block.
type Listener interface {
	// Map is a verified map to be enforced from now on.
	Map(m wire.Map)
	// Lease is the coordinator's word that it stands behind the map.
	Lease(l wire.Leased)
	// Confirmed says that the map at hand is the one that it should be.
	Confirmed()
	// Endpoints says where a peer may be reached.
	Endpoints(peer string, at []netip.AddrPort)
	// Contact says that the stream stands (nil), or why it does not.
	Contact(err error)
}

// Options of a Follower. All are needed.
type Options struct {
	Dir      *Dir
	Keys     *Keys
	Identity *Identity
	Clock    *policytime.Clock
	Listener Listener
	Facts    func() Facts
	Version  string
	Log      *slog.Logger
}

// Follower keeps a node's state in step with its coordinator.
type Follower struct {
	o        Options
	instance []byte
	courier  *courier
	chain    atomic.Pointer[[][]byte] // the node's certificate; written by Run

	// Owned by Run.
	state    wire.State
	trust    *wire.Trust
	needFull bool
	hints    Hints
}

// NewFollower makes a follower that starts from a state, usually what Load gave.
func NewFollower(o Options, start wire.State) (*Follower, error) {
	trust, err := o.Identity.Trust()
	if err != nil {
		return nil, err
	}
	instance := make([]byte, 16)
	rand.Read(instance)
	f := &Follower{o: o, instance: instance, state: start, trust: trust, hints: o.Dir.Hints(), courier: newCourier(o)}
	f.chain.Store(&o.Identity.Chain)
	return f, nil
}

// Acknowledge tells the coordinator, when it can, which map is enforced.
func (f *Follower) Acknowledge(at wire.Position) { f.courier.acknowledge(at) }

// FactsChanged makes the follower report again.
func (f *Follower) FactsChanged() { f.courier.report() }

// LookupRules asks the coordinator where rules stand in the policy.
func (f *Follower) LookupRules(ctx context.Context, ids []string, revision uint64) ([]*wire.RulePosition, error) {
	c, err := f.open()
	if err != nil {
		return nil, err
	}
	defer c.close()
	resp, err := c.LookupRules(ctx, connect.NewRequest(&wire.LookupRulesRequest{Ids: ids, Revision: revision}))
	if err != nil {
		return nil, plain(err)
	}
	return resp.Msg.Rules, nil
}

// Run follows until ctx is done. It never gives up.
func (f *Follower) Run(ctx context.Context) error {
	backoff := minBackoff
	for ctx.Err() == nil {
		heard, err := f.session(ctx)
		if ctx.Err() != nil {
			break
		}
		f.o.Listener.Contact(err)
		if heard {
			backoff = minBackoff
		}
		f.o.Log.Info("the coordinator is away; tunnels and filter go on", "why", err, "again_in", backoff)
		select {
		case <-ctx.Done():
		// Jitter keeps a thousand nodes from coming back in one moment.
		case <-time.After(backoff/2 + mathrand.N(backoff)):
		}
		backoff = min(2*backoff, maxBackoff)
	}
	return nil
}

func (f *Follower) open() (*channel, error) {
	id := f.o.Identity
	return open(id.URL, &f.o.Keys.Node, *f.chain.Load(), id.Root.Fingerprint(), f.now)
}

// now is the time by which certificates and map keys are judged: policy time,
// or before the first lease the wall clock, if that is later.
func (f *Follower) now() time.Time {
	now := f.o.Clock.Now()
	if wall := time.Now(); !f.o.Clock.Warm() && wall.After(now) {
		return wall
	}
	return now
}

// session is one connection. It tells whether anything was heard on it.
func (f *Follower) session(ctx context.Context) (heard bool, err error) {
	f.takeRenewed()
	c, err := f.open()
	if err != nil {
		return false, err
	}
	defer c.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := c.Follow(ctx, connect.NewRequest(f.request()))
	if err != nil {
		return false, plain(err)
	}
	defer stream.Close()
	deaf := time.AfterFunc(silence, func() { cancel(errors.New("the coordinator fell silent")) })
	defer deaf.Stop()
	ended := f.courier.start(ctx, c, *f.chain.Load())
	defer func() { cancel(nil); <-ended }()
	for stream.Receive() {
		deaf.Reset(silence)
		if !heard {
			heard = true
			f.o.Listener.Contact(nil)
		}
		if err := f.handle(stream.Msg()); err != nil {
			return heard, err
		}
	}
	return heard, f.why(ctx, c, stream.Err())
}

// takeRenewed puts a certificate into use that the last session brought.
func (f *Follower) takeRenewed() {
	if chain := f.courier.renewed(); len(chain) > 0 {
		f.o.Identity.Chain = chain
		f.chain.Store(&chain)
		f.log("saving the renewed certificate", f.o.Dir.SaveIdentity(f.o.Identity))
	}
}

func (f *Follower) request() *wire.FollowRequest {
	r := &wire.FollowRequest{Level: wire.Level, Version: f.o.Version, Instance: f.instance}
	floor := f.state.Floor()
	r.Incarnation, r.Epoch = floor.Incarnation, floor.Epoch
	if !f.needFull && !f.state.Map.IsZero() {
		digest := f.state.Map.Digest()
		r.Revision, r.Digest = floor.Revision, digest[:]
	}
	return r
}

// why makes sense of a stream's end, and hands over what a restored coordinator
// asked for.
func (f *Follower) why(ctx context.Context, c *channel, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if connect.CodeOf(err) == connect.CodeAborted {
		if surrender := f.surrender(ctx, c); surrender != nil {
			return fmt.Errorf("handing revocations to a restored coordinator: %w", surrender)
		}
	}
	if err == nil {
		return errors.New("the coordinator ended the stream")
	}
	return plain(err)
}

func (f *Follower) surrender(ctx context.Context, c *channel) error {
	kept, err := f.o.Dir.revocations()
	if err != nil {
		return err
	}
	f.o.Log.Warn("the coordinator was restored from a backup; handing back the revocations that it lost", "count", len(kept))
	_, err = c.Surrender(ctx, connect.NewRequest(&wire.SurrenderRequest{Revocations: kept, MapKeys: f.trust.Certificates()}))
	return err
}

func (f *Follower) handle(m *wire.FollowResponse) error {
	switch m := m.Message.(type) {
	case *wire.FollowResponse_Keys:
		return f.keys(m.Keys)
	case *wire.FollowResponse_Signed:
		return f.signed(m.Signed)
	case *wire.FollowResponse_Current:
		f.o.Listener.Confirmed()
	case *wire.FollowResponse_Hints:
		f.takeHints(m.Hints)
	}
	return nil
}

func (f *Follower) keys(k *wire.Keys) error {
	id := *f.o.Identity
	if err := id.keepMapKeys(k.MapKeys); err != nil {
		return err
	}
	for _, c := range k.MapKeys {
		if err := f.trust.Add(c); err != nil {
			return err
		}
	}
	if len(id.MapKeys) != len(f.o.Identity.MapKeys) {
		f.o.Identity.MapKeys = id.MapKeys
		f.log("saving map keys", f.o.Dir.SaveIdentity(f.o.Identity))
	}
	return nil
}

// signed takes one message of the map's history. An error ends the session; the
// next one asks for a Full where that can help.
func (f *Follower) signed(s *wire.Signed) error {
	opened, err := wire.Open(f.trust, s, f.now())
	if err != nil {
		return fmt.Errorf("a message of the coordinator was refused: %w", err)
	}
	next, err := f.state.Fold(f.o.Identity.Recipient(), opened)
	switch {
	case errors.Is(err, wire.ErrOlder):
		f.o.Log.Warn("dropped a message of the past", "error", err)
		return nil
	case err != nil:
		f.needFull = true
		return fmt.Errorf("a message of the coordinator was refused: %w", err)
	}
	f.publish(next, opened)
	return nil
}

func (f *Follower) publish(next wire.State, o wire.Opened) {
	f.state = next
	if o.Envelope().GetFull() != nil {
		f.needFull = false
	}
	if o.Envelope().GetLease() != nil {
		f.log("noting the lease", f.o.Clock.Lease(next.Lease.Time))
		f.o.Listener.Lease(next.Lease)
	} else {
		f.o.Listener.Map(next.Map)
		f.o.Listener.Confirmed()
	}
	heavy, err := f.o.Dir.keep(o)
	f.log("keeping the map on disk", err)
	f.needFull = f.needFull || heavy
	f.stamp()
}

// stamp notes what must never go back.
func (f *Follower) stamp() {
	floor := f.state.Floor()
	f.log("noting the map's position", f.o.Dir.SaveStamp(Stamp{
		Incarnation: floor.Incarnation, Epoch: floor.Epoch, Revision: f.state.Map.Revision, Lease: f.state.Lease.Time,
	}))
}

func (f *Follower) takeHints(h *wire.Hints) {
	for _, p := range h.Peers {
		if _, known := f.state.Map.Peers[p.Node]; !known || len(p.Endpoints) > 32 {
			continue
		}
		var at []netip.AddrPort
		for _, text := range p.Endpoints {
			if e, err := netip.ParseAddrPort(text); err == nil && e.Port() != 0 {
				at = append(at, e)
			}
		}
		f.hints[p.Node] = at
		f.o.Listener.Endpoints(p.Node, at)
	}
	for peer := range f.hints {
		if _, known := f.state.Map.Peers[peer]; !known {
			delete(f.hints, peer)
		}
	}
	f.log("keeping endpoints on disk", f.o.Dir.SaveHints(f.hints))
}

// log tells of a disk that does not take what it should. Nothing stops for it.
func (f *Follower) log(doing string, err error) {
	if err != nil {
		f.o.Log.Error(doing+" failed: after a reboot without coordinator this node would know less", "error", err)
	}
}

// system is what the coordinator is told of the machine.
func system() string { return runtime.GOOS + "/" + runtime.GOARCH }
