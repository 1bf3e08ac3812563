package osnet_test

import (
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// fenced counts the rules of the fence, by family.
func fenced(t *testing.T) (four, six int) {
	t.Helper()
	count := func(family int) (n int) {
		list, err := netlink.RuleList(family)
		must(t, err)
		for _, r := range list {
			if r.Protocol == 0xc5 {
				n++
			}
		}
		return n
	}
	return count(unix.AF_INET), count(unix.AF_INET6)
}

// A killed daemon leaves its fence behind with the forwarding that it is about,
// and the next one keeps it up, although it finds forwarding on; a daemon that
// ends takes it away. A machine that was a router before stays one.
func TestFenceLivesAsLongAsTheForwarding(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	addAddress(t, pairOf(t, "lan0", "device0"), "10.20.0.1/16")
	addAddress(t, pairOf(t, "lan1", "device1"), "2001:db8:20::1/64")
	both := []netip.Prefix{behind, netip.MustParsePrefix("2001:db8:20::/64")}
	want := func(when string, four, six int) {
		t.Helper()
		if a, b := fenced(t); a != four || b != six {
			t.Errorf("%s: %d and %d rules, want %d and %d", when, a, b, four, six)
		}
	}
	killed := newNetwork(t, osnet.Config{})
	open(t, killed)
	must(t, killed.Apply(mesh()))
	want("a node that is no gateway", 0, 2)
	changed, err := killed.EnableForwarding(both)
	must(t, err)
	want("a gateway", 1, 6)

	next := newNetwork(t, osnet.Config{})
	must(t, next.Apply(mesh()))
	if again, err := next.EnableForwarding(both); err != nil || len(again) != 0 {
		t.Fatal(again, err)
	}
	want("after a kill", 1, 6)
	other := mesh()
	other.Addresses = []netip.Addr{self4, peer6}
	must(t, next.Apply(other))
	want("with another address", 1, 6)
	must(t, osnet.Restore(changed))
	must(t, next.Close())
	want("after the end", 0, 0)

	for _, name := range []string{"net/ipv4/conf/lan0/forwarding", "net/ipv6/conf/all/forwarding"} {
		must(t, os.WriteFile("/proc/sys/"+name, []byte("1"), 0))
	}
	router := newNetwork(t, osnet.Config{})
	must(t, router.Apply(osnet.Want{}))
	_, err = router.EnableForwarding(both)
	must(t, err)
	want("on a router", 0, 0)
}
