package osnet_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// inside runs f in the namespace, on a thread of its own that ends with it.
func inside(t *testing.T, ns netns.NsHandle, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not given back
		if err := netns.Set(ns); err != nil {
			done <- err
			return
		}
		done <- f(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
}

type events chan osnet.Event

// expect waits for e; an event that comes before it fails the test.
func (ch events) expect(t *testing.T, what string, e osnet.Event) {
	t.Helper()
	select {
	case got := <-ch:
		if got != e {
			t.Errorf("%s: %v, want %v", what, got, e)
		}
	case <-time.After(patience):
		t.Fatalf("%s: nothing came, want %v", what, e)
	}
}

// Whoever takes a thing again while it is being put back takes it for good, if
// that is not seen: nothing changes any more that would be looked at.
func TestWatchTellsWhatIsLostWhileItIsRepaired(t *testing.T) {
	if !rooted(t) {
		return
	}
	ns := namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	link, err := netlink.LinkByName("cordon0")
	must(t, err)
	take := func() error { return netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(host(self6))}) }
	ch, looking, times := make(events, 10), make(chan struct{}), 0
	inside(t, ns, func(ctx context.Context) error {
		close(looking)
		return n.Watch(ctx, func(e osnet.Event) {
			err := n.Reapply()
			if times++; times < 4 && err == nil {
				err = take()
			}
			if err != nil {
				t.Error(err)
			}
			ch <- e
		})
	})
	<-looking
	must(t, take())
	for range 4 {
		ch.expect(t, "taken while it is put back", osnet.AddressLost)
	}
	wantLeads(t, "put back at last", 0, map[netip.Addr]string{peer4: "cordon0", peer6: "cordon0"})
	have, err := netlink.AddrList(link, netlink.FAMILY_V6)
	must(t, err)
	if !slices.ContainsFunc(have, func(a netlink.Addr) bool { return a.IP.Equal(self6.AsSlice()) }) {
		t.Errorf("the address is away for good: %v", have)
	}
}

func TestWatchTellsWhatOthersDo(t *testing.T) {
	if !rooted(t) {
		return
	}
	ns := namespace(t)
	n := newNetwork(t, osnet.Config{})
	dev := open(t, n)
	must(t, n.Apply(mesh()))
	ch, looking := make(events, 10), make(chan struct{})
	inside(t, ns, func(ctx context.Context) error {
		close(looking)
		return n.Watch(ctx, func(e osnet.Event) { ch <- e })
	})
	<-looking
	link := func() netlink.Link {
		l, err := netlink.LinkByName("cordon0")
		must(t, err)
		return l
	}
	table := int(n.Config().Table)

	must(t, netlink.AddrDel(link(), &netlink.Addr{IPNet: ipNet(host(self6))}))
	ch.expect(t, "an address away", osnet.AddressLost)
	must(t, n.Reapply())

	must(t, netlink.RouteDel(&netlink.Route{Table: table, Type: 7, Dst: ipNet(range4), Priority: 1 << 30}))
	ch.expect(t, "a guard away", osnet.RouteLost)
	must(t, n.Reapply())

	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Family = osnet.DefaultPriority, table, 2
	rule.Invert, rule.Mark = true, n.Config().Mark
	must(t, netlink.RuleDel(rule))
	ch.expect(t, "the rule away", osnet.RuleLost)
	must(t, n.Reapply())

	must(t, netlink.LinkSetDown(link()))
	ch.expect(t, "down", osnet.TunnelDown)
	must(t, n.Reapply())
	wantLeads(t, "up again", 0, map[netip.Addr]string{peer4: "cordon0", peer6: "cordon0"})

	must(t, netlink.LinkDel(link()))
	ch.expect(t, "deleted", osnet.TunnelGone)
	wantLeads(t, "deleted", 0, map[netip.Addr]string{peer4: "refused", peer6: "refused"})
	dev.Close()
	open(t, n)
	wantLeads(t, "made again", 0, map[netip.Addr]string{peer4: "cordon0", peer6: "cordon0"})

	under, err := netlink.LinkByName("underlay0")
	must(t, err)
	addAddress(t, under, "203.0.113.5/24")
	ch.expect(t, "a new address", osnet.UnderlayChanged)
	must(t, netlink.RouteDel(&netlink.Route{LinkIndex: under.Attrs().Index, Gw: net.ParseIP("192.0.2.1")}))
	ch.expect(t, "the default route away", osnet.UnderlayChanged)
}

func TestWatchUnderlayTellsOfNewAddresses(t *testing.T) {
	if !rooted(t) {
		return
	}
	ns := namespace(t)
	changes := make(chan struct{}, 10)
	inside(t, ns, func(ctx context.Context) error {
		return osnet.WatchUnderlay(ctx, nil, func() { changes <- struct{}{} })
	})
	under, err := netlink.LinkByName("underlay0")
	must(t, err)
	// The watch compares with what it found first, which may be after the
	// first of these.
	deadline := time.After(patience)
	for i := 1; ; i++ {
		addAddress(t, under, fmt.Sprintf("203.0.113.%d/24", i))
		select {
		case <-changes:
			return
		case <-deadline:
			t.Fatal("new addresses of the machine were not told")
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func TestCandidates(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	under, err := netlink.LinkByName("underlay0")
	must(t, err)
	addAddress(t, under, "169.254.3.4/16")
	addAddress(t, under, "100.64.99.1/32") // of another daemon in the same mesh
	off := pairOf(t, "unused0", "unused1")
	addAddress(t, off, "198.51.100.9/24")
	must(t, netlink.LinkSetDown(off))
	c, err := osnet.ListCandidates([]string{"cordon0"})
	must(t, err)
	if got := netipString(c.Addresses); got != "[100.64.99.1 192.0.2.2 2001:db8::2]" {
		t.Errorf("candidates %s", got)
	}
	if got := netipString(c.Loopback); got != "[127.0.0.1 ::1]" {
		t.Errorf("loopback %s", got)
	}
}

func netipString(list []netip.Addr) string {
	out := "["
	for i, a := range list {
		if i > 0 {
			out += " "
		}
		out += a.String()
	}
	return out + "]"
}

func TestCollisions(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	ranges, skip := []netip.Prefix{range4, range6}, []string{"cordon0"}
	found, err := osnet.Collisions(ranges, skip)
	must(t, err)
	if len(found) != 0 {
		t.Fatalf("found %v where nothing collides", found)
	}
	under, err := netlink.LinkByName("underlay0")
	must(t, err)
	// A provider's carrier-grade NAT, and a static route into the same range.
	addAddress(t, under, "100.72.1.2/16")
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: under.Attrs().Index, Dst: ipNet(netip.MustParsePrefix("fd00:c0de:0:8::/64"))}))
	found, err = osnet.Collisions(ranges, skip)
	must(t, err)
	if len(found) != 2 || found[0].Local.String() != "100.72.0.0/16" || found[0].Interface != "underlay0" || found[1].Range != range6 {
		t.Errorf("found %v", found)
	}
}
