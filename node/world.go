package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/netstack"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/osnet"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// world is where inner packets come from and go to: the machine, by a TUN, or a
// network stack in this process.
type world interface {
	// open gives the device. It is called again when the device has died.
	open() (tun.Device, error)
	// SetAddresses, SetRoutes and SetSeats are the engine's Links.
	SetAddresses(ctx context.Context, addresses []netip.Prefix) error
	SetRoutes(ctx context.Context, routes []netip.Prefix) error
	SetSeats(ctx context.Context, seats []plane.Seat) error
	// share has the machine tell its people apart from now on, or not.
	share(shared bool) error
	// forward makes the machine carry packets for what is behind it.
	forward(behind []netip.Prefix)
	// run keeps the world in order until ctx is done; changed is called when the
	// machine's own addresses or routes have changed, mended when it has put back what
	// others took.
	run(ctx context.Context, changed, mended func()) error
	// stands tells of the world's TCP connections: see filter.Stands.
	stands(own, peer netip.AddrPort, begun filter.Direction) (stands, known bool)
	// gaps tells, for people, what does not protect this node as it should.
	gaps() []string
	// beneath marks sockets that must never lead into the mesh; nil: none can.
	beneath() control.Control
	// close ends it. If it stays guarded, nothing that is meant for the mesh leaves
	// this machine afterwards.
	close(guarded bool) error
}

// tunWorld is the machine's own network.
type tunWorld struct {
	net     *osnet.Network
	sockets *osnet.Sockets // nil: the kernel tells of none
	own     ownAddresses
	log     *slog.Logger

	mu   sync.Mutex // guards what follows
	want osnet.Want
	fwd  []osnet.Change // sysctls to take back
	gap  string         // in the mesh's guard, as last logged
}

func newTUN(c Config) (*tunWorld, error) {
	n, err := osnet.New(osnet.Config{Name: c.Interface, MTU: c.MTU})
	if err != nil {
		return nil, err
	}
	w := &tunWorld{net: n, log: c.Log}
	w.openSockets()
	return w, nil
}

func (w *tunWorld) open() (tun.Device, error) { return w.net.Open() }

func (w *tunWorld) SetAddresses(_ context.Context, addresses []netip.Prefix) error {
	own := w.own.set(addresses)
	return w.apply(func(want *osnet.Want) { want.Addresses = own })
}

func (w *tunWorld) SetRoutes(_ context.Context, routes []netip.Prefix) error {
	return w.apply(func(want *osnet.Want) { want.Routes = routes })
}

// direct are the networks that are left to the machine although a gateway offers
// them.
func (w *tunWorld) direct() []netip.Prefix {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.want.Direct)
}

// guard names the ranges of the mesh, which never leave by another interface.
func (w *tunWorld) guard(ranges []netip.Prefix) error {
	return w.apply(func(want *osnet.Want) { want.Guards = ranges })
}

func (w *tunWorld) apply(change func(*osnet.Want)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.want)
	err := w.net.Apply(w.want)
	w.noteGap()
	return err
}

// noteGap logs what does not guard the mesh's addresses, once.
func (w *tunWorld) noteGap() {
	now := ""
	if err := w.net.Unwalled(); err != nil {
		now = err.Error()
		if now != w.gap {
			w.log.Warn("the mesh's addresses are guarded by routes alone", "error", err)
		}
	}
	w.gap = now
}

func (w *tunWorld) forward(behind []netip.Prefix) {
	if len(behind) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	changes, err := w.net.EnableForwarding(behind)
	for _, c := range changes {
		w.log.Info("this machine now forwards for its gateway routes", "changed", c.String())
	}
	w.fwd = append(w.fwd, changes...)
	if err != nil {
		w.log.Error("this machine cannot forward for its gateway routes", "error", err)
	}
}

func (w *tunWorld) run(ctx context.Context, changed, mended func()) error {
	return w.net.Watch(ctx, func(e osnet.Event) {
		w.log.Warn("the machine's network changed", "what", e.String())
		switch e {
		case osnet.UnderlayChanged:
			changed()
		case osnet.TunnelGone:
			// wireguard-go notices too, ends its device, and the mesh opens anew.
		default:
			if err := w.net.Reapply(); err != nil {
				w.log.Error("repairing the machine's network failed", "error", err)
			}
			mended()
		}
	})
}

func (w *tunWorld) gaps() []string {
	if err := w.net.Unwalled(); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func (w *tunWorld) beneath() control.Control { return osnet.Control(w.net.Config().Mark) }

func (w *tunWorld) close(guarded bool) error {
	err := errors.Join(osnet.Restore(w.fwd), w.closeSockets())
	if guarded {
		w.net.Leave()
		return err
	}
	return errors.Join(err, w.net.Close())
}

// stackWorld is a network stack in this process.
type stackWorld struct {
	cfg    Config
	stack  *netstack.Stack
	own    ownAddresses
	opened bool
	permit func(netip.Addr) bool
}

func newStack(c Config, resolve func(string) []netip.Addr, permit func(netip.Addr) bool) (*stackWorld, error) {
	s, err := netstack.New(netstack.Config{MTU: c.MTU, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		if found := resolve(host); len(found) > 0 {
			return found, nil
		}
		return nil, &net.DNSError{Err: "no peer of this node has this name", Name: host, IsNotFound: true}
	}})
	if err != nil {
		return nil, err
	}
	return &stackWorld{cfg: c, stack: s, permit: permit}, nil
}

func (w *stackWorld) open() (tun.Device, error) {
	if w.opened {
		return nil, errors.New("the network stack has ended")
	}
	w.opened = true
	return w.stack.Device(), nil
}

func (w *stackWorld) SetAddresses(_ context.Context, addresses []netip.Prefix) error {
	return w.stack.SetAddresses(w.own.set(addresses))
}

// SetRoutes does nothing: all that the stack sends goes to the mesh.
func (w *stackWorld) SetRoutes(context.Context, []netip.Prefix) error { return nil }

func (w *stackWorld) forward([]netip.Prefix) {}

// gaps are none: no packet of the machine's enters the stack but by its doors.
func (w *stackWorld) gaps() []string { return nil }

func (w *stackWorld) beneath() control.Control { return nil }

func (w *stackWorld) close(bool) error { return w.stack.Close() }

// run serves the doors that the configuration names.
func (w *stackWorld) run(ctx context.Context, changed, _ func()) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return osnet.WatchUnderlay(ctx, nil, changed) })
	p := &netstack.Proxy{Stack: w.stack, Permit: func(_ string, dst netip.AddrPort) bool { return w.permit(dst.Addr()) }}
	for _, door := range []struct {
		flag, at string
		serve    func(context.Context, net.Listener) error
	}{{"socks5", w.cfg.SOCKS5, p.ServeSOCKS}, {"http-proxy", w.cfg.HTTPProxy, p.ServeCONNECT}} {
		if door.at == "" {
			continue
		}
		l, err := net.Listen("tcp", door.at)
		if err != nil {
			return fmt.Errorf("%s: %w", door.flag, err)
		}
		g.Go(func() error { return door.serve(ctx, l) })
	}
	for _, f := range w.cfg.Forwards {
		l, err := net.Listen("tcp", f.Listen)
		if err != nil {
			return fmt.Errorf("forward: %w", err)
		}
		g.Go(func() error { return w.stack.Forward(ctx, l, f.Target, netstack.Limits{}) })
	}
	for _, e := range w.cfg.Exposes {
		g.Go(func() error {
			return w.stack.Expose(ctx, netip.AddrPortFrom(netip.Addr{}, e.Port), e.Target, netstack.Limits{})
		})
	}
	return g.Wait()
}
