package osnet_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience ends a test that has failed; it says nothing about speed.
const patience = 60 * time.Second

var (
	self4  = netip.MustParseAddr("100.64.0.1")
	self6  = netip.MustParseAddr("fd00:c0de::1")
	peer4  = netip.MustParseAddr("100.64.0.2")
	peer6  = netip.MustParseAddr("fd00:c0de::2")
	range4 = netip.MustParsePrefix("100.64.0.0/10")
	range6 = netip.MustParsePrefix("fd00:c0de::/48")
	behind = netip.MustParsePrefix("10.20.0.0/16")
)

// mesh is what most tests apply: a node with one peer and one routed prefix.
func mesh() osnet.Want {
	return osnet.Want{
		Addresses: []netip.Addr{self4, self6},
		Routes:    []netip.Prefix{host(peer4), host(peer6), behind},
		Guards:    []netip.Prefix{range4, range6},
	}
}

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// rooted says whether the test can make network namespaces. Where it cannot, the
// test says that it did not run; under CI that is a failure, not a footnote.
func rooted(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root: run CI's osnet tests as root")
	}
	fmt.Printf("NOT RUN: %s needs root\n", t.Name())
	return false
}

// namespace moves the test into an empty network namespace for its time. It has
// one interface, underlay0 (192.0.2.2/24, 2001:db8::2/64), with default routes.
func namespace(t *testing.T) netns.NsHandle {
	t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	here, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Set(home); err != nil {
			t.Fatal(err) // the thread must not serve others from here
		}
		home.Close()
		here.Close()
		runtime.UnlockOSThread()
	})
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	under := pairOf(t, "underlay0", "wire0")
	addAddress(t, under, "192.0.2.2/24")
	addAddress(t, under, "2001:db8::2/64")
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: under.Attrs().Index, Gw: net.ParseIP("192.0.2.1")}))
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: under.Attrs().Index, Gw: net.ParseIP("2001:db8::1")}))
	return here
}

// pairOf makes a cable: what goes into name comes out of peer. Both are up.
func pairOf(t *testing.T, name, peer string) *netlink.Veth {
	t.Helper()
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer}
	must(t, netlink.LinkAdd(v))
	other, err := netlink.LinkByName(peer)
	must(t, err)
	must(t, netlink.LinkSetUp(other))
	must(t, netlink.LinkSetUp(v))
	return v
}

func addAddress(t *testing.T, link netlink.Link, cidr string) {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	must(t, err)
	a.Flags = 0x02 // IFA_F_NODAD
	must(t, netlink.AddrAdd(link, a))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newNetwork(t *testing.T, c osnet.Config) *osnet.Network {
	t.Helper()
	n, err := osnet.New(c)
	must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

func open(t *testing.T, n *osnet.Network) tun.Device {
	t.Helper()
	dev, err := n.Open()
	must(t, err)
	taken := make(chan struct{})
	go func() { // as a WireGuard engine would
		defer close(taken)
		for range dev.Events() {
		}
	}()
	t.Cleanup(func() {
		dev.Close()
		<-taken
	})
	return dev
}

// leads names the interface that a packet to dst leaves by, or "refused".
func leads(t *testing.T, dst netip.Addr, mark uint32) string {
	t.Helper()
	routes, err := netlink.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{Mark: mark})
	if err != nil || len(routes) == 0 || routes[0].Type == 7 {
		return "refused"
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	must(t, err)
	return link.Attrs().Name
}

func wantLeads(t *testing.T, when string, mark uint32, want map[netip.Addr]string) {
	t.Helper()
	for dst, via := range want {
		if got := leads(t, dst, mark); got != via {
			t.Errorf("%s: %s with mark %#x goes to %s, want %s", when, dst, mark, got, via)
		}
	}
}
