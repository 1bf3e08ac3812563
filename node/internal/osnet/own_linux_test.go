package osnet_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// A gateway's own services are reached at more than its addresses (A27): a
// datagram to the broadcast address of a network behind, or to its anycast
// address, is the gateway's too.
func TestOwnIsWhatTheKernelTakes(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	lan := pairOf(t, "lan0", "device0")
	addAddress(t, lan, "10.20.0.1/16")
	addAddress(t, lan, "2001:db8:20::1/64")
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	addAddress(t, lo, "10.20.99.1/32")
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	changed, err := n.EnableForwarding([]netip.Prefix{behind, netip.MustParsePrefix("2001:db8:20::/64")})
	must(t, err)
	defer osnet.Restore(changed)
	own, err := osnet.Own([]string{n.Config().Name})
	must(t, err)
	for _, want := range []string{"10.20.0.1/32", "10.20.255.255/32", "10.20.99.1/32", "2001:db8:20::1/128", "2001:db8:20::/128", "192.0.2.2/32"} {
		if !slices.Contains(own, netip.MustParsePrefix(want)) {
			t.Errorf("%s is missing in %v", want, own)
		}
	}
	for _, not := range []netip.Prefix{host(self4), host(self6), behind} {
		if slices.Contains(own, not) {
			t.Errorf("%s is in %v", not, own)
		}
	}
}

// What the kernel takes may change without any address at which other nodes
// would find this machine.
func TestWatchUnderlayTellsOfWhatTheKernelTakes(t *testing.T) {
	if !rooted(t) {
		return
	}
	here := namespace(t)
	changes := make(chan struct{}, 64)
	inside(t, here, func(ctx context.Context) error {
		return osnet.WatchUnderlay(ctx, nil, func() { changes <- struct{}{} })
	})
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	deadline := time.After(patience)
	for i := 1; ; i++ {
		addAddress(t, lo, fmt.Sprintf("10.20.99.%d/32", i))
		select {
		case <-changes:
			return
		case <-deadline:
			t.Fatal("new addresses on the loopback interface were not told")
		case <-time.After(300 * time.Millisecond):
		}
	}
}
