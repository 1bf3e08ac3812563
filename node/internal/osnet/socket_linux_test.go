package osnet_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// A socket that was connected before the mesh was there, or while somebody had
// flushed our routes, asks for its way anew once they stand. Linux lets an IPv6
// socket keep the default route, and so what it sends in clear, for as long as
// nothing changes in the table that it found it in.
func TestSocketsAreNotLeftToTheDefaultRoute(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	outside := netip.MustParsePrefix("2001:db8:20::/48") // behind a gateway, outside of the mesh's ranges
	for name, peer := range map[string]netip.Addr{"IPv4": peer4, "IPv6": peer6, "IPv6 behind a gateway": netip.MustParseAddr("2001:db8:20::7")} {
		must(t, n.Apply(osnet.Want{}))
		conn, err := net.Dial("udp", netip.AddrPortFrom(peer, 5000).String())
		must(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte("in clear"))
		must(t, err)
		must(t, n.Apply(osnet.Want{Routes: []netip.Prefix{host(peer6), outside}, Guards: []netip.Prefix{range4, range6}}))
		if _, err := conn.Write([]byte("refused")); err == nil {
			t.Errorf("%s: a socket still sends by the default route", name)
		}
	}
	main, err := netlink.RouteListFiltered(unix.AF_INET6, &netlink.Route{Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNREACHABLE}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
	if err != nil || len(main) > 0 {
		t.Errorf("the main table was left with %v, %v", main, err)
	}
}
