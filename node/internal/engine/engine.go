// Package engine turns what the node knows into what its parts do. It holds the
// latest map, keys and lease; [Derive], which is pure, makes of them the whole
// desired state; one goroutine hands that to plane, paths and links.
//
// What it keeps to:
//
//   - It states the whole each time and never patches: a part that failed, or
//     that was made anew, is told again from the beginning.
//   - Changes of one moment become one application.
//   - A failure is tried again, later each time, and until it succeeded the
//     plane denies. A failed route or path does not keep a rule set waiting:
//     a revocation must not hang on a network manager.
//   - A revision is reported as enforced when the plane enforces it, not before.
//
// It leaves to others: verifying maps (wire), the order of steps inside a plane,
// finding paths, the stamp of policy time, acknowledging.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/stock"
)

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second

	// endsWithin is how late the end of a peer's time is noticed at most: timers stand
	// still while a machine sleeps, and policy time does not.
	endsWithin = 10 * time.Second
)

// Plane is what the engine needs of a plane.
type Plane interface {
	Configure(ctx context.Context, cfg plane.Config) error
	Renew(lease time.Time)
}

// Paths is what the engine needs of the transport: the whole set each time.
type Paths interface {
	SetPeers(peers []PathPeer) error
}

// PathPeer is a peer as far as paths to it are concerned.
type PathPeer struct {
	ID      string
	NodeKey key.NodePublic
	PathKey key.PathPublic
}

// Links is what the engine needs of the operating system: the whole set each
// time, all of it on this mesh's own interface.
type Links interface {
	SetAddresses(ctx context.Context, addresses []netip.Prefix) error
	SetRoutes(ctx context.Context, routes []netip.Prefix) error

	// SetSeats gives the accounts that have addresses of their own, besides those of
	// SetAddresses, and lets nobody else send with them. Where that cannot be had it
	// fails, and they are not there for anybody.
	SetSeats(ctx context.Context, seats []plane.Seat) error
}

// Options of an engine. All but Enforced, Ready, Now and Log are needed.
type Options struct {
	Plane Plane
	Paths Paths
	Links Links

	// Enforced is called from Run when the plane enforces a position that it did
	// not enforce before. It must not block.
	Enforced func(wire.Position)

	// Ready is called from Run, once, when the plane enforces a map and knows a lease.
	// Before its first lease, which comes after the first map, a node opens nothing
	// by a rule with a hold. It must not block.
	Ready func()

	Now func() time.Time // policy time, of people's rights; default: time.Now
	Log *slog.Logger     // default: discard
}

// Engine drives one mesh's plane, paths and links. The setters may be called at
// any time, by several goroutines, and never wait; Run by one at a time.
type Engine struct {
	o    Options
	wake chan struct{} // holds one token when input changed

	mu    sync.Mutex
	input Input
	news  uint64 // counts changes of input other than of the lease

	untied bool // seats are to be told again

	enforces atomic.Uint64 // news that the plane has carried out

	done done // Run's own
}

// done is what has been carried out since Run began.
type done struct {
	plane struct {
		set   bool // false: it was not told anything yet
		news  uint64
		lease time.Time
		seats []plane.Seat // whom it knows here
	}
	enforced  wire.Position
	ready     bool      // Ready was called
	end       time.Time // policy time at which somebody's time is over; zero: nobody's will be
	paths     told[PathPeer]
	addresses told[netip.Prefix]
	routes    told[netip.Prefix]
	seats     told[plane.Seat]
}

// New makes an engine that knows nothing, and does nothing before Run.
func New(o Options) (*Engine, error) {
	if o.Plane == nil || o.Paths == nil || o.Links == nil {
		return nil, errors.New("make an engine: Plane, Paths and Links are all needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Engine{o: o, wake: make(chan struct{}, 1)}, nil
}

// SetMap gives the map that holds from now on; the zero Map permits nothing.
func (e *Engine) SetMap(m wire.Map) {
	e.set(1, func(in *Input) { in.Map = m })
}

// SetTunnel gives the key and the UDP port (0: any) of the tunnels.
func (e *Engine) SetTunnel(k key.TunnelPrivate, port uint16) {
	e.set(1, func(in *Input) { in.TunnelKey, in.ListenPort = k, port })
}

// SetLocal gives the destinations beneath the tunnel that the machine takes for
// itself.
func (e *Engine) SetLocal(own []netip.Prefix) {
	e.mu.Lock()
	same := slices.Equal(e.input.Local, own)
	e.mu.Unlock()
	if !same {
		e.set(1, func(in *Input) { in.Local = slices.Clone(own) })
	}
}

// SetStock gives the stock peers of this node, and a number for [Engine.Enforces].
func (e *Engine) SetStock(s Stock) (news uint64) {
	e.mu.Lock()
	e.input.Stock = s
	e.news++
	news = e.news
	e.mu.Unlock()
	e.nudge()
	return news
}

// Enforces tells whether the plane enforces what was said with that number, or
// something later.
func (e *Engine) Enforces(news uint64) bool { return e.enforces.Load() >= news }

// StockTrouble tells why a stock peer cannot be let in; "" if it can.
func (e *Engine) StockTrouble(p *stock.Peer) string {
	e.mu.Lock()
	in := e.input
	e.mu.Unlock()
	return in.StockTrouble(p)
}

// SetLease gives the signed time of the last verified lease.
func (e *Engine) SetLease(signed time.Time) {
	e.set(0, func(in *Input) { in.Lease = signed })
}

func (e *Engine) set(news uint64, change func(*Input)) {
	e.mu.Lock()
	change(&e.input)
	e.news += news
	e.mu.Unlock()
	e.nudge()
}

func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run carries out what is known, and each change of it, until ctx ends. Called
// again it begins from nothing, as parts that were made anew need it.
func (e *Engine) Run(ctx context.Context) error {
	e.done = done{}
	retry := firstRetry
	again := time.NewTimer(lastRetry)
	defer again.Stop()
	ends := time.NewTimer(endsWithin)
	defer ends.Stop()
	e.nudge()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-again.C:
		case <-ends.C:
		}
		e.expire(ends)
		if err := e.apply(ctx); err == nil {
			again.Stop()
			retry = firstRetry
		} else if ctx.Err() == nil {
			e.o.Log.Error("cannot carry out all that the map says", "try_again_in", retry, "error", err)
			again.Reset(retry)
			retry = min(2*retry, lastRetry)
		}
		e.expire(ends)
	}
}

// expire has all told anew when somebody's time is over, and sets the timer by which
// it looks again.
func (e *Engine) expire(ends *time.Timer) {
	if e.done.end.IsZero() {
		ends.Stop()
		return
	}
	left := e.done.end.Sub(e.o.Now())
	if left <= 0 {
		e.done.end = time.Time{}
		e.set(1, func(*Input) {})
	}
	ends.Reset(max(0, min(left, endsWithin)))
}

// apply carries out what was not. Paths come before the plane, so that the
// first handshake of a new peer finds its path machine; no failure of one keeps
// another waiting. The plane knows a new seat when that is tied, and nobody whose
// seat is gone meanwhile.
func (e *Engine) apply(ctx context.Context) error {
	e.mu.Lock()
	in, news := e.input, e.news
	e.done.seats.set, e.untied = e.done.seats.set && !e.untied, false
	e.mu.Unlock()
	if in.TunnelKey.IsZero() {
		return nil // no identity yet: the plane denies, as it was made
	}
	fresh := !e.done.plane.set || e.done.plane.news != news
	if !fresh && !in.Lease.Equal(e.done.plane.lease) {
		// A lease a minute changes no right: it only lets rights with a hold go on.
		e.o.Plane.Renew(in.Lease)
		e.done.plane.lease = in.Lease
		e.tellReady()
	}
	if !fresh && e.done.paths.set && e.done.addresses.set && e.done.routes.set && e.done.seats.set {
		return nil
	}
	in.Now = e.o.Now()
	want := Derive(&in)
	e.done.end = want.End
	paths := e.done.paths.tell(want.Paths, same, e.o.Paths.SetPeers)
	var enforced error
	if fresh {
		if enforced = e.configure(ctx, &in, &want, news); enforced == nil {
			e.enforces.Store(news)
		}
	}
	links := e.link(ctx, &want)
	if enforced == nil {
		enforced = e.reseat(ctx, &in, &want, news)
	}
	if enforced == nil && fresh {
		e.report(in.Map.Position(), in.Map.IsZero())
		e.tellReady()
	}
	return errors.Join(enforced, wrap("tell the transport its peers", paths), links)
}

// link tells the operating system. Seats come after the routes, which they share.
func (e *Engine) link(ctx context.Context, want *Desired) error {
	return errors.Join(
		wrap("set the addresses of the interface", e.done.addresses.tell(want.Addresses, same, func(p []netip.Prefix) error {
			return e.o.Links.SetAddresses(ctx, p)
		})),
		wrap("set the routes into the mesh", e.done.routes.tell(want.Routes, same, func(p []netip.Prefix) error {
			return e.o.Links.SetRoutes(ctx, p)
		})),
		wrap("give people at this machine addresses of their own", e.done.seats.tell(want.Seats, plane.Seat.Same, func(s []plane.Seat) error {
			return e.o.Links.SetSeats(ctx, s)
		})))
}

// report tells that a position is enforced. It comes after the links, whether
// they succeeded or not: whoever waits for it uses the node's addresses next.
func (e *Engine) report(at wire.Position, none bool) {
	if at != e.done.enforced && !none && e.o.Enforced != nil {
		e.o.Enforced(at)
	}
	e.done.enforced = at
}

// tellReady tells, once, that what the map permits is open.
func (e *Engine) tellReady() {
	d := &e.done
	if d.ready || d.enforced == (wire.Position{}) || d.plane.lease.IsZero() || e.o.Ready == nil {
		return
	}
	d.ready = true
	e.o.Ready()
}

func (e *Engine) configure(ctx context.Context, in *Input, want *Desired, news uint64) error {
	d := &e.done.plane
	cfg, given := want.tied(e.done.seats.what)
	if err := e.o.Plane.Configure(ctx, cfg); err != nil {
		return err
	}
	d.set, d.news, d.lease, d.seats = true, news, in.Lease, given
	return nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// told is a set that one part was told.
type told[T any] struct {
	what []T
	set  bool // false: to be told, whatever it was told before
}

func (t *told[T]) tell(what []T, same func(a, b T) bool, part func([]T) error) error {
	if t.set && slices.EqualFunc(t.what, what, same) {
		return nil
	}
	t.what, t.set = nil, false
	if err := part(what); err != nil {
		return err
	}
	t.what, t.set = what, true
	return nil
}

func same[T comparable](a, b T) bool { return a == b }
