//go:build !linux

package osnet

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"golang.zx2c4.com/wireguard/tun"
)

// pollEvery is how often a system without change messages (as far as we use
// them) is looked at: of the 3 seconds in which traffic flows again after a change,
// one is left to find the peers.
const pollEvery = 2 * time.Second

// Network cannot be made here; see ErrUnsupported.
type Network struct{}

// Change is one setting that EnableForwarding changed.
type Change struct{ Path, Was, Is string }

func (c Change) String() string { return c.Path + ": " + c.Is + ", was " + c.Was }

func unsupported(what string) error {
	return fmt.Errorf("osnet: %s on %s: %w", what, runtime.GOOS, ErrUnsupported)
}

// New fails with ErrUnsupported.
func New(c Config) (*Network, error) {
	if _, err := c.Validate(); err != nil {
		return nil, err
	}
	return nil, unsupported("make a TUN")
}

// Config returns the zero Config.
func (*Network) Config() Config { return Config{} }

// Open fails with ErrUnsupported.
func (*Network) Open() (tun.Device, error) { return nil, unsupported("make a TUN") }

// Apply fails with ErrUnsupported.
func (*Network) Apply(Want) error { return unsupported("set routes") }

// Reapply fails with ErrUnsupported.
func (*Network) Reapply() error { return unsupported("set routes") }

// Unwalled is nil: where there is no TUN, there is nothing to guard.
func (*Network) Unwalled() error { return nil }

// Untied is nil: there are no seats.
func (*Network) Untied() error { return nil }

// Watch fails with ErrUnsupported.
func (*Network) Watch(context.Context, func(Event)) error { return unsupported("watch a TUN") }

// EnableForwarding fails with ErrUnsupported.
func (*Network) EnableForwarding([]netip.Prefix) ([]Change, error) {
	return nil, unsupported("forward packets")
}

// Close does nothing.
func (*Network) Close() error { return nil }

// Leave has nothing to leave.
func (*Network) Leave() {}

// Restore has nothing to take back.
func Restore([]Change) error { return nil }

// Control marks nothing: there is no tunnel for a packet to loop into.
func Control(uint32) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error { return nil }
}

// WatchUnderlay calls changed after this machine's addresses or its default gateway
// have changed, those of the interfaces in skip aside. It blocks until ctx ends,
// and then returns nil.
func WatchUnderlay(ctx context.Context, skip []string, changed func()) error {
	last, err := underlay(skip)
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollEvery):
		}
		var now string
		if now, err = underlay(skip); err == nil && now != last {
			last = now
			changed()
		}
	}
	return err
}

// underlay says what a change changes. Two networks may give a machine one address:
// then the gateway tells them apart, unless they have that in common too.
func underlay(skip []string) (string, error) {
	c, err := ListCandidates(skip)
	gateway, _, errGateway := DefaultGateway()
	return fmt.Sprint(c.Addresses, gateway, errGateway), err
}

func eachLocalRoute(func(netip.Prefix, string)) error { return nil }

// Sockets cannot be made here.
type Sockets struct{}

// OpenSockets fails with ErrUnsupported.
func OpenSockets() (*Sockets, error) { return nil, unsupported("ask for sockets") }

// Find finds nothing.
func (*Sockets) Find(own, peer netip.AddrPort) (connected, listens bool, err error) {
	return false, false, unsupported("ask for sockets")
}

// Close does nothing.
func (*Sockets) Close() error { return nil }
