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
//   - wireguard-go has a peer only while there is something to carry (see below).
//   - wireguard-go closes itself when its TUN fails. Done then closes; whoever
//     made the plane makes TUN and plane anew.
//
// A peer of wireguard-go takes 37 KiB and two goroutines, and a map may name ten
// thousand. So a peer is made when it is needed, and removed when it is idle:
//
//   - Outwards, by a packet that the filter permitted, once there is a path
//     (Options.Way); the packet waits in the lobby and keeps its place among those
//     that follow. One that is refused brings nobody in.
//   - Inwards, by the peer's handshake initiation. wireguard-go would drop it
//     without a word, and the peer repeat it after 5 s. So the reception reads
//     initiations first: that the sender has the peer's private key is proven
//     before it costs more than the reading, and a replay has an old stamp, which
//     is kept while the peer is away. That needs no probe to come before it, and
//     no order between the two; whoever cannot begin a handshake needs no peer.
//   - A peer goes when nothing authentic (data, keepalive, handshake) went to or
//     came from it for idleAfter. That is longer than a session lives (180 s, the
//     WireGuard paper, section 6.1), so neither end has keys left that it could
//     send with: the other end's next packet begins with an initiation, whatever
//     it thinks of its path, and nothing is lost in a session that only one end
//     knows. A packet that comes in the last moment keeps the peer: first it is
//     only barred, and removed if it is still unused when next looked at.
//   - A TUN whose Read cannot be woken keeps all peers: what waits could else not
//     be sent on.
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

// sweepEvery is how often what is idle is looked for. A tunnel goes at the second look
// that finds it idle, so up to twice as much later than idleAfter.
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

	// Way wants a path to a peer, and tells whether there is one now; if not,
	// Found is to be called when there is. It must not block, nor call the plane.
	// nil: there always is one.
	Way func(peer string) bool
}

// Plane is a plane.Plane in this process.
type Plane struct {
	device    *device.Device
	filter    *filter.Filter
	guard     *guard
	reception *reception
	now       func() filter.Moment
	way       func(peer string) bool
	log       *slog.Logger

	turn sync.Mutex // one Configure at a time

	mu      sync.Mutex // guards what wireguard-go was told
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
	p := &Plane{filter: f, now: o.Now, way: o.Way, log: o.Log, stop: stop, reception: newReception()}
	p.guard = newGuard(o.TUN, f, o.Now)
	p.applied.tunnels = map[*member]struct{}{}
	bind := &countedBind{Bind: o.Bind, in: p.guard.in, out: p.guard.out, reception: p.reception}
	p.device = device.NewDevice(p.guard, bind, logger(o.Log))
	// Before any peer is made: only then does it hold for all of them.
	p.device.DisableSomeRoamingForBrokenMobileSemantics()
	p.wait.Go(func() { p.guard.answer(ctx) })
	p.wait.Go(func() { p.sweep(ctx) })
	p.wait.Go(func() { p.keep(ctx) })
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

// sweep drops idle flows and idle tunnels until the plane ends.
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
			p.logDrains()
			p.logExcesses()
			p.retire(time.Now())
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
