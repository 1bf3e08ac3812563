package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/policytime"
)

const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 30 * time.Second
	steady     = 10 * time.Second // a session that lasted so long was a good one

	// resyncEvery bounds how often a Full is asked for because of this machine's
	// own disk.
	resyncEvery = 10 * time.Minute

	// maxLeap is by how much a lease may be ahead of both this machine's clocks.
	maxLeap = 24 * time.Hour

	maxHints = 16 // endpoints of one peer
)

// Facts are what a node tells of itself.
type Facts struct {
	Endpoints  []netip.AddrPort
	Port       uint16
	Advertised []netip.Prefix
	Relay      string // the relay that is its home, by name; empty: none
}

// Listener hears what the follower learns, from one goroutine. It must not block.
type Listener interface {
	// Map is a verified map to be enforced from now on.
	Map(m wire.Map)
	// Lease is the coordinator's word that it stands behind the map.
	Lease(l wire.Leased)
	// Confirmed says that the map at hand is the one that it should be.
	Confirmed()
	// Hint says where a peer may be reached.
	Hint(peer string, at Hint)
	// Relays says which relays there are, with this node's ticket for them. It is
	// the whole: what was said before counts no more.
	Relays(o wire.RelayOffer)
	// Contact says that the stream stands (nil), or why it does not.
	Contact(err error)
	// Trouble says that something does not work and what follows from it, or
	// (nil) that it works again. It stops nothing.
	Trouble(what string, err error)
}

// Options of a Follower. Active, SignedOut and the last four may be left out.
type Options struct {
	Dir      *Dir
	Keys     *Keys
	Identity *Identity // a copy is made
	Clock    *policytime.Clock
	Listener Listener
	Facts    func() Facts
	Active   func() []Activity // of each who did something here; nil: of nobody

	SignedOut func() []SignedOut // of whom the coordinator is to be told; nil: of nobody

	Version  string
	Log      *slog.Logger
	Dial     Dial
	Control  Control       // of the machine's own way; not asked with Dial
	Resolver *net.Resolver // finds the coordinator, never through the mesh; nil: this machine's, under Control
	Line     *Line         // with the connection of a fresh enrolment, if there is one
}

// Follower keeps a node's state in step with its coordinator.
type Follower struct {
	o        Options
	id       Identity // but its Chain, which is in chain
	instance []byte
	courier  *courier
	known    *known
	chain    atomic.Pointer[[][]byte] // the node's certificate; written by Run

	// Owned by Run.
	state    wire.State
	floor    wire.Position // of the stamp: holds also while there is no map
	trust    *wire.Trust
	mapKeys  [][]byte // of trust, as they are on disk
	needFull bool
	resynced time.Time // when a Full was last asked for because of the disk
	hints    Hints
	trouble  map[string]bool
}

// NewFollower makes a follower that starts from a state, usually what Load gave.
func NewFollower(o Options, start wire.State) (*Follower, error) {
	trust, err := o.Identity.Trust()
	if err != nil {
		return nil, err
	}
	instance := make([]byte, 16)
	rand.Read(instance)
	f := &Follower{
		o: o, id: *o.Identity, instance: instance, state: start, trust: trust, mapKeys: o.Identity.MapKeys,
		hints: o.Dir.Hints(), courier: newCourier(o), known: newKnown(o.Dir, o.Identity.URL), trouble: map[string]bool{},
	}
	// A damaged stamp was told by Load, which then gave no map.
	if stamp, err := o.Dir.Stamp(); err == nil {
		f.floor = stamp.Position()
	}
	f.courier.telling(start.Map.Self.ActiveEvery)
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
		begun := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errResync) {
			continue
		}
		f.o.Listener.Contact(err)
		// Only a session that lasted makes the next attempt quick again: one that is
		// refused as soon as it stands, or taken over by a twin, must not be tried
		// four times a second for ever.
		if time.Since(begun) >= steady {
			backoff = minBackoff
		}
		// Jitter keeps a thousand nodes from coming back in one moment.
		wait := backoff/2 + mathrand.N(backoff)
		f.o.Log.Info("the coordinator is away; tunnels and filter go on", "why", err, "again_in", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		backoff = min(2*backoff, maxBackoff)
	}
	return nil
}

// Now is the time by which certificates and map keys are judged: policy time,
// or before the first lease the wall clock, if that is later.
func (f *Follower) Now() time.Time {
	now := f.o.Clock.Now()
	if wall := time.Now(); !f.o.Clock.Warm() && wall.After(now) {
		return wall
	}
	return now
}

func (f *Follower) handle(m *wire.FollowResponse) error {
	unhurried := m.Unhurried
	switch m := m.Message.(type) {
	case *wire.FollowResponse_Keys:
		return f.keys(m.Keys)
	case *wire.FollowResponse_Signed:
		return f.signed(m.Signed, unhurried)
	case *wire.FollowResponse_Current:
		if !f.state.Map.IsZero() {
			f.o.Listener.Confirmed()
		}
	case *wire.FollowResponse_Hints:
		f.takeHints(m.Hints)
	case *wire.FollowResponse_Relays:
		f.takeRelays(m.Relays)
	}
	return f.resync(false)
}

// keys takes map keys, and writes them down before anything that they signed is
// written: a map whose key is not on the disk does not verify after a reboot.
func (f *Follower) keys(k *wire.Keys) error {
	f.forgetKeys()
	for _, c := range k.MapKeys {
		if err := f.trust.Add(c); err != nil {
			return fmt.Errorf("a map key was refused: %w", err)
		}
	}
	all, err := serialised(f.trust)
	if err != nil {
		return err
	}
	if slices.EqualFunc(all, f.mapKeys, bytes.Equal) {
		return nil
	}
	_, err = f.o.Dir.UpdateIdentity(func(id *Identity) { id.MapKeys = all })
	if f.note("saving map keys", err); err == nil {
		f.mapKeys = all
	}
	return nil
}

// forgetKeys gives up the map keys that ended, so that there is room for their
// successors for as long as this node lives. It keeps those of the map and of the
// revocations on the disk, and all if nobody could read what is there.
func (f *Follower) forgetKeys() {
	signers := maps.Clone(f.o.Dir.signers)
	if signers == nil {
		return
	}
	for _, r := range f.state.Revoked {
		addSigner(signers, r.Signed)
	}
	f.trust.Prune(f.Now(), signers)
}

// signed takes one message of the map's history. An error ends the session; the
// next one asks for a Full where that can help. Nobody waits for the
// acknowledgement of what is unhurried.
func (f *Follower) signed(s *wire.Signed, unhurried bool) error {
	opened, err := wire.Open(f.trust, s, f.Now())
	if err != nil {
		return fmt.Errorf("a message of the coordinator was refused: %w", err)
	}
	if opened.Envelope().GetLease() != nil {
		err := f.credible(opened)
		if f.note("taking the coordinator's time", err); err != nil {
			return nil
		}
	}
	next, err := f.fold(opened)
	switch {
	case errors.Is(err, wire.ErrOlder) && opened.Envelope().GetLease() != nil:
		f.o.Log.Debug("dropped a lease of the past", "error", err)
		return nil
	case errors.Is(err, wire.ErrOlder):
		// Not a reason to part: a restored coordinator is asked to prove itself by a
		// new incarnation, and one whose disk was rolled back must not rule.
		f.note(takingMap, fmt.Errorf("%w: if the coordinator's disk was set back, use `cordon-coordinator restore`", err))
		return nil
	case err != nil:
		f.needFull = true
		return fmt.Errorf("a message of the coordinator was refused: %w", err)
	}
	if !unhurried {
		f.courier.expected(next.Map.Position())
	}
	return f.resync(f.publish(next, opened))
}

const takingMap = "taking the coordinator's map"

// fold is the state's own, and holds the stamp against it: while there is no
// map, because its file was refused, the stamp alone tells a replayed past from
// the present.
func (f *Follower) fold(o wire.Opened) (wire.State, error) {
	if at := o.Position(); o.Envelope().GetFull() != nil && at.Compare(f.floor) < 0 {
		return f.state, fmt.Errorf("%w: a Full of incarnation %d, epoch %d, revision %d; this node has enforced %d, %d, %d", wire.ErrOlder,
			at.Incarnation, at.Epoch, at.Revision, f.floor.Incarnation, f.floor.Epoch, f.floor.Revision)
	}
	return f.state.Fold(f.id.Recipient(), o)
}

// credible refuses a lease by which policy time, which never goes back, would
// leap: a coordinator whose clock once jumped ten years ahead would end every
// login, every hold and every certificate for good.
func (f *Follower) credible(o wire.Opened) error {
	signed := time.UnixMilli(o.Envelope().GetLease().GetTime()).UTC()
	k, err := key.MapPublicFrom(o.Signed().GetMapKey())
	if err == nil {
		err = f.trust.Check(k, signed)
	}
	if err != nil {
		return fmt.Errorf("the coordinator's clock says %s: %w", signed.Format(time.RFC3339), err)
	}
	if now := f.o.Clock.Now(); f.o.Clock.Warm() && signed.Sub(now) > maxLeap && time.Until(signed) > maxLeap {
		return fmt.Errorf("the coordinator's clock says %s, and here it is %s: set the coordinator's clock right", signed.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// publish lets a state be enforced, and only then writes it down. It tells
// whether what is on the disk had better begin anew.
func (f *Follower) publish(next wire.State, o wire.Opened) (heavy bool) {
	f.state = next
	f.courier.telling(next.Map.Self.ActiveEvery)
	if o.Envelope().GetFull() != nil {
		f.needFull = false
	}
	switch {
	case o.Envelope().GetLease() != nil:
		f.note("saving policy time", f.o.Clock.Lease(next.Lease.Time))
		f.o.Listener.Lease(next.Lease)
	case !next.Map.IsZero(): // a revocation may come before any map
		f.note(takingMap, nil)
		f.o.Listener.Map(next.Map)
		f.o.Listener.Confirmed()
	}
	heavy, err := f.o.Dir.keep(o, next)
	f.note("keeping the map on disk", err)
	f.stamp()
	return heavy
}

// stamp notes what must never go back.
func (f *Follower) stamp() {
	floor := f.state.Floor()
	if floor.Compare(f.floor) > 0 {
		f.floor = floor
	}
	f.note("noting the map's position", f.o.Dir.SaveStamp(Stamp{
		Incarnation: f.floor.Incarnation, Epoch: f.floor.Epoch, Revision: f.floor.Revision, Lease: f.state.Lease.Time,
	}))
}

// errResync ends a session so that the next one begins with a Full.
var errResync = errors.New("asking for a new Full")

func (f *Follower) resync(heavy bool) error {
	if !heavy || !f.resynced.IsZero() && time.Since(f.resynced) < resyncEvery {
		return nil
	}
	f.needFull, f.resynced = true, time.Now()
	return errResync
}

// note tells of trouble when it begins and when it ends. Nothing stops for it.
func (f *Follower) note(doing string, err error) {
	if err == nil && !f.trouble[doing] {
		return
	}
	if err != nil && !f.trouble[doing] {
		f.o.Log.Error(doing+" failed; tunnels and filter go on", "error", err)
	}
	if err == nil {
		f.o.Log.Info(doing + " works again")
	}
	f.trouble[doing] = err != nil
	f.o.Listener.Trouble(doing, err)
}
