// Package userspace is the plane that runs in this process: wireguard-go on any
// tun.Device, with the filter between the two. It is the only package that
// knows wireguard-go's device.
//
// A packet's way out: real TUN, guard.Read (parse, verdict), wireguard-go, bind.
// Its way in: bind, wireguard-go (opens it, and checks that the inner source is
// one of that peer's), guard.Write (parse, verdict), real TUN.
//
// What it keeps to:
//
//   - Nothing of ours allocates or copies per packet; a batch takes the filter's
//     lock once, and the offloads of TUN and socket stay whole.
//   - An incoming packet never moves a peer's endpoint: WireGuard's roaming is
//     off, and each peer is made with its virtual endpoint, in one step.
//   - A refused packet of this machine is answered (reset or unreachable) from a
//     goroutine of its own, because a TUN that is a network stack in this
//     process may not take a packet while it waits to be read.
//   - A refused packet of a peer is answered through the tunnel, if the filter says
//     so: the answer takes a place in what guard.Read gives, which is woken for it.
//   - wireguard-go closes itself when its TUN fails. Done then closes; whoever
//     made the plane makes TUN and plane anew.
//
// It leaves verdicts to acl/filter and the choice of paths to the bind.
package userspace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

const sweepEvery = 10 * time.Second

// ErrClosed is returned by a plane that has ended.
var ErrClosed = errors.New("the plane has ended")

// Options of a plane. TUN, Bind and Now are needed.
type Options struct {
	TUN  tun.Device           // owned by the plane from New on
	Bind conn.Bind            // resolves the virtual endpoints of the peers
	Now  func() filter.Moment // what all clocks say
	Log  *slog.Logger         // default: discard

	Filter filter.Options // bounds of the flow table; zeros are defaults
}

// Plane is a plane.Plane in this process.
type Plane struct {
	device *device.Device
	filter *filter.Filter
	guard  *guard
	now    func() filter.Moment
	log    *slog.Logger

	mu      sync.Mutex // one Configure at a time; guards applied
	applied applied

	stop context.CancelFunc
	wait sync.WaitGroup
}

var _ plane.Plane = (*Plane)(nil)

// New starts a plane that denies everything. Without an error the TUN is the
// plane's to close.
func New(o Options) (*Plane, error) {
	if o.TUN == nil || o.Bind == nil || o.Now == nil {
		return nil, errors.New("make a userspace plane: TUN, Bind and Now are all needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f, err := filter.New(o.Filter)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Plane{filter: f, now: o.Now, log: o.Log, stop: stop}
	p.guard = newGuard(o.TUN, f, o.Now)
	p.device = device.NewDevice(p.guard, &countedBind{Bind: o.Bind, in: p.guard.in, out: p.guard.out}, logger(o.Log))
	// Before any peer is made: only then does it hold for all of them.
	p.device.DisableSomeRoamingForBrokenMobileSemantics()
	p.wait.Go(func() { p.guard.answer(ctx) })
	p.wait.Go(func() { p.sweep(ctx) })
	return p, nil
}

// Done is closed when the plane has ended.
func (p *Plane) Done() <-chan struct{} { return p.device.Wait() }

// Err tells why the plane has ended: nil while it runs and after Close, else the
// failure of its TUN.
func (p *Plane) Err() error { return p.guard.failure() }

// Close ends the plane and waits for the end of everything that New started.
func (p *Plane) Close() error {
	p.guard.closing()
	p.stop()
	p.device.Close()
	p.wait.Wait()
	return nil
}

// sweep drops idle flows until the plane ends.
func (p *Plane) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.device.Wait():
			return
		case <-tick.C:
			p.filter.Sweep(p.now())
		}
	}
}

// Renew tells of a lease: the policy time from which holds count on.
func (p *Plane) Renew(lease time.Time) { p.filter.Renew(lease) }

func (p *Plane) ended() error {
	select {
	case <-p.device.Wait():
		if err := p.Err(); err != nil {
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		return ErrClosed
	default:
		return nil
	}
}
