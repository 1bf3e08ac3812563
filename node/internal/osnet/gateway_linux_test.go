package osnet_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// expectGateway compares what is found.
func expectGateway(t *testing.T, gateway, local string) {
	t.Helper()
	var want [2]netip.Addr
	if gateway != "" {
		want = [2]netip.Addr{netip.MustParseAddr(gateway), netip.MustParseAddr(local)}
	}
	g, l, err := osnet.DefaultGateway()
	if err != nil || [2]netip.Addr{g, l} != want {
		t.Errorf("gateway %v, local address %v, %v; want %v", g, l, err, want)
	}
}

func TestDefaultGatewayIsThatOfTheNearestDefaultRoute(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	under, err := netlink.LinkByName("underlay0")
	must(t, err)
	routes, err := netlink.RouteList(under, netlink.FAMILY_V4)
	must(t, err)
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			must(t, netlink.RouteDel(&r))
		}
	}
	expectGateway(t, "", "")
	lan := pairOf(t, "lan0", "device0")
	addAddress(t, lan, "10.20.0.1/16")
	add := func(link netlink.Link, gateway string, metric int) {
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gateway), Priority: metric}))
	}
	add(under, "192.0.2.254", 100)
	expectGateway(t, "192.0.2.254", "192.0.2.2")
	add(lan, "10.20.0.254", 50)
	expectGateway(t, "10.20.0.254", "10.20.0.1")
	add(lan, "10.20.0.253", 200)
	expectGateway(t, "10.20.0.254", "10.20.0.1")
	// Of several addresses, the one in the gateway's network speaks to it.
	addAddress(t, lan, "10.30.0.1/16")
	add(lan, "10.30.0.254", 40)
	expectGateway(t, "10.30.0.254", "10.30.0.1")
	// A gateway that is in no network of the machine's, as where each machine is alone
	// in its own.
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: lan.Attrs().Index, Gw: net.ParseIP("10.99.0.1"), Priority: 30, Flags: int(netlink.FLAG_ONLINK)}))
	expectGateway(t, "10.99.0.1", "10.20.0.1")
}
