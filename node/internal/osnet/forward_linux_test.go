package osnet_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// A peer's packet goes through a gateway to a device behind, and the device's
// answer comes back into the tunnel.
func TestGatewayForwards(t *testing.T) {
	if !rooted(t) {
		return
	}
	here := namespace(t)
	lan := pairOf(t, "lan0", "device0")
	addAddress(t, lan, "10.20.0.1/16")
	deviceBehind(t, here)
	n := newNetwork(t, osnet.Config{})
	dev := open(t, n)
	must(t, n.Apply(osnet.Want{Addresses: []netip.Addr{self4}, Routes: []netip.Prefix{host(peer4)}, Guards: []netip.Prefix{range4}}))
	if was := sysctl(t, "net/ipv4/conf/lan0/forwarding"); was != "0" {
		t.Fatalf("forwarding is on already: %s", was)
	}
	changed, err := n.EnableForwarding([]netip.Prefix{behind})
	must(t, err)
	if len(changed) != 2 || changed[0].Was != "0" {
		t.Errorf("changed %v, want the TUN's and the LAN's forwarding", changed)
	}
	if other := sysctl(t, "net/ipv4/conf/underlay0/forwarding"); other != "0" {
		t.Error("an interface that leads to no device forwards too")
	}
	ping := echoRequest(peer4, netip.MustParseAddr("10.20.0.5"))
	if _, err := dev.Write([][]byte{append(make([]byte, 16), ping...)}, 16); err != nil {
		t.Fatal(err)
	}
	for {
		p := nextPacket(t, dev)
		if p[0]>>4 == 4 && p[9] == 1 && p[20] == 0 && netip.AddrFrom4([4]byte(p[12:16])).String() == "10.20.0.5" {
			break
		}
	}
	again, err := n.EnableForwarding([]netip.Prefix{behind})
	must(t, err)
	if len(again) != 0 {
		t.Errorf("a second call changed %v", again)
	}
	// A prefix whose first address is the gateway's own leads to the LAN all the same.
	addAddress(t, lan, "10.30.0.0/31")
	if again, err = n.EnableForwarding([]netip.Prefix{netip.MustParsePrefix("10.30.0.0/31")}); err != nil || len(again) != 0 {
		t.Errorf("a prefix that begins with our own address: %v, %v", again, err)
	}
	if _, err = n.EnableForwarding([]netip.Prefix{netip.MustParsePrefix("10.30.0.0/32")}); err == nil {
		t.Error("our own address was taken for a device behind")
	}
	must(t, osnet.Restore(changed))
	if now := sysctl(t, "net/ipv4/conf/lan0/forwarding"); now != "0" {
		t.Error("Restore left forwarding on")
	}
}

// IPv6 forwarding must not cost the gateway its own default route.
func TestForwardingKeepsRouterAdvertisements(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	changed, err := n.EnableForwarding([]netip.Prefix{netip.MustParsePrefix("2001:db8:0:1::/64")})
	must(t, err)
	if sysctl(t, "net/ipv6/conf/all/forwarding") != "1" || sysctl(t, "net/ipv6/conf/underlay0/accept_ra") != "2" {
		t.Errorf("changed only %v", changed)
	}
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/underlay0/accept_ra", []byte("0"), 0)) // an admin's word
	must(t, osnet.Restore(changed))
	if got := sysctl(t, "net/ipv6/conf/underlay0/accept_ra"); got != "0" {
		t.Errorf("Restore overrode what was set meanwhile: %s", got)
	}
	if sysctl(t, "net/ipv6/conf/all/forwarding") != "0" {
		t.Error("Restore left forwarding on")
	}
}

func TestForwardingToNowhereIsAnError(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	must(t, netlink.RouteDel(&netlink.Route{Gw: net.ParseIP("192.0.2.1")}))
	changed, err := n.EnableForwarding([]netip.Prefix{behind})
	if err == nil || !strings.Contains(err.Error(), behind.String()) || len(changed) != 0 {
		t.Errorf("EnableForwarding = %v, %v; want an error that names %s", changed, err, behind)
	}
}

// deviceBehind moves device0 into a namespace of its own, as 10.20.0.5, with the
// static route back that a device needs.
func deviceBehind(t *testing.T, here netns.NsHandle) {
	t.Helper()
	there, err := netns.New()
	must(t, err)
	must(t, netns.Set(here))
	t.Cleanup(func() { there.Close() })
	link, err := netlink.LinkByName("device0")
	must(t, err)
	must(t, netlink.LinkSetNsFd(link, int(there)))
	nl, err := netlink.NewHandleAt(there)
	must(t, err)
	defer nl.Close()
	link, err = nl.LinkByName("device0")
	must(t, err)
	a, err := netlink.ParseAddr("10.20.0.5/16")
	must(t, err)
	must(t, nl.AddrAdd(link, a))
	must(t, nl.LinkSetUp(link))
	must(t, nl.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(range4), Gw: net.ParseIP("10.20.0.1")}))
}

func sysctl(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/" + path)
	must(t, err)
	return strings.TrimSpace(string(b))
}

func echoRequest(src, dst netip.Addr) []byte {
	p := make([]byte, 36)
	p[0], p[8], p[9], p[20] = 0x45, 64, 1, 8
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(p[10:], sum(p[:20]))
	binary.BigEndian.PutUint16(p[22:], sum(p[20:]))
	return p
}

func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}
