package osnet_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

var (
	routed    = netip.MustParseAddr("10.20.3.4")
	noPeer4   = netip.MustParseAddr("100.64.9.9")
	noPeer6   = netip.MustParseAddr("fd00:c0de::99")
	internet4 = netip.MustParseAddr("198.51.100.1")
	internet6 = netip.MustParseAddr("2001:db8:ffff::1")
)

func TestApplyLeadsTheMeshIntoTheTunnelAndNothingElse(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	must(t, n.Apply(mesh()))
	outside := map[netip.Addr]string{internet4: "underlay0", internet6: "underlay0"}
	refused := map[netip.Addr]string{peer4: "refused", peer6: "refused", routed: "refused", noPeer4: "refused", noPeer6: "refused"}
	wantLeads(t, "before the TUN", 0, outside)
	wantLeads(t, "before the TUN", 0, refused)
	dev := open(t, n)
	if mtu, err := dev.MTU(); err != nil || mtu != osnet.DefaultMTU {
		t.Errorf("MTU = %d, %v", mtu, err)
	}
	inside := map[netip.Addr]string{peer4: "cordon0", peer6: "cordon0", routed: "cordon0", noPeer4: "refused", noPeer6: "refused"}
	wantLeads(t, "with the TUN", 0, outside)
	wantLeads(t, "with the TUN", 0, inside)
	// Our own sealed packets never enter the tunnel, whatever they are for.
	wantLeads(t, "our own", n.Config().Mark, map[netip.Addr]string{
		peer4: "underlay0", routed: "underlay0", internet4: "underlay0", peer6: "underlay0",
	})
	must(t, dev.Close())
	wantLeads(t, "after the TUN vanished", 0, refused)
	wantLeads(t, "after the TUN vanished", 0, outside)
	open(t, n)
	wantLeads(t, "with a new TUN", 0, inside)
}

func TestApplyIsTheWholeTruth(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	link, err := netlink.LinkByName("cordon0")
	must(t, err)
	// Somebody else's doings: an address and a route of ours away, one of each too much.
	addAddress(t, link, "100.64.7.7/32")
	must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(host(self4))}))
	table := int(n.Config().Table)
	must(t, netlink.RouteDel(&netlink.Route{Table: table, LinkIndex: link.Attrs().Index, Dst: ipNet(behind), Priority: 50, Scope: netlink.SCOPE_LINK}))
	must(t, netlink.RouteAdd(&netlink.Route{Table: table, LinkIndex: link.Attrs().Index, Dst: ipNet(host(noPeer4))}))
	w := mesh()
	w.Routes = []netip.Prefix{behind, host(peer6)} // one peer left
	must(t, n.Apply(w))
	if got := addresses(t, link); !slices.Equal(got, []string{"100.64.0.1/32", "fd00:c0de::1/128"}) {
		t.Errorf("addresses = %v", got)
	}
	wantLeads(t, "after repair", 0, map[netip.Addr]string{
		routed: "cordon0", peer6: "cordon0", peer4: "refused", noPeer4: "refused", internet4: "underlay0",
	})
	if got := len(table4(t, table)); got != 3 { // guard of the range, guard and route of the prefix
		t.Errorf("%d IPv4 routes in our table, want 3: %v", got, table4(t, table))
	}
}

func TestApplyOfTheSameChangesNothing(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	w := mesh()
	w.Routes = append(w.Routes, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
	w.Direct = []netip.Prefix{netip.MustParsePrefix("10.20.30.0/24")}
	must(t, n.Apply(w))
	done, routes := make(chan struct{}), make(chan netlink.RouteUpdate, 100)
	must(t, netlink.RouteSubscribe(routes, done))
	must(t, n.Apply(w))
	must(t, n.Reapply())
	marker := &netlink.Route{Table: 999, Type: unix.RTN_BLACKHOLE, Dst: ipNet(host(internet4))}
	must(t, netlink.RouteAdd(marker))
	for r := range routes {
		if r.Table == int(n.Config().Table) {
			t.Errorf("a second Apply changed %v", r)
		}
		if r.Table == 999 {
			break
		}
	}
	close(done)
	for range routes { // until the subscription has ended
	}
	wantLeads(t, "a direct network", 0, map[netip.Addr]string{netip.MustParseAddr("10.20.30.1"): "underlay0", routed: "cordon0", internet4: "cordon0", internet6: "cordon0"})
}

func TestApplyReportsWhatIsNoRouteAndDoesTheRest(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	w := mesh()
	w.Routes = append(w.Routes, netip.Prefix{}, netip.MustParsePrefix("::ffff:10.0.0.0/104"))
	w.Addresses = append(w.Addresses, netip.MustParseAddr("127.0.0.1"), netip.Addr{})
	if err := n.Apply(w); err == nil || strings.Count(err.Error(), "osnet:") != 4 {
		t.Errorf("Apply = %v, want four complaints", err)
	}
	wantLeads(t, "the rest", 0, map[netip.Addr]string{peer4: "cordon0", noPeer4: "refused"})
}

// A daemon that was killed leaves its guards; the next one adopts them.
func TestGuardsOutliveTheDaemon(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	killed, err := osnet.New(osnet.Config{})
	must(t, err)
	must(t, killed.Apply(mesh()))
	must(t, open(t, killed).Close()) // as the kernel does with a dead process's files
	wantLeads(t, "after the kill", 0, map[netip.Addr]string{peer4: "refused", routed: "refused"})
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	w := mesh()
	w.Routes = []netip.Prefix{host(peer4)}
	must(t, n.Apply(w))
	wantLeads(t, "after the restart", 0, map[netip.Addr]string{peer4: "cordon0", routed: "underlay0"})
	rules, err := netlink.RuleList(unix.AF_INET)
	must(t, err)
	if len(rules) != 4 { // the system's three and ours
		t.Errorf("rules = %v", rules)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	before, err := netlink.RuleList(netlink.FAMILY_ALL)
	must(t, err)
	n := newNetwork(t, osnet.Config{})
	dev := open(t, n)
	must(t, n.Apply(mesh()))
	must(t, dev.Close())
	must(t, n.Close())
	after, err := netlink.RuleList(netlink.FAMILY_ALL)
	must(t, err)
	if len(after) != len(before) {
		t.Errorf("rules: %v, were %v", after, before)
	}
	if left := table4(t, int(n.Config().Table)); len(left) != 0 {
		t.Errorf("routes left: %v", left)
	}
	wantLeads(t, "after Close", 0, map[netip.Addr]string{peer4: "underlay0", routed: "underlay0"})
}

func TestTwoMeshesOnOneMachine(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	one, two := newNetwork(t, osnet.Config{Name: "clinic"}), newNetwork(t, osnet.Config{Name: "hospital"})
	open(t, one)
	open(t, two)
	must(t, one.Apply(osnet.Want{Addresses: []netip.Addr{self4}, Routes: []netip.Prefix{host(peer4)}}))
	must(t, two.Apply(osnet.Want{Addresses: []netip.Addr{self6}, Routes: []netip.Prefix{host(peer6)}}))
	wantLeads(t, "both", 0, map[netip.Addr]string{peer4: "clinic", peer6: "hospital"})
	must(t, one.Close())
	wantLeads(t, "the other alone", 0, map[netip.Addr]string{peer4: "underlay0", peer6: "hospital"})
}

func TestATakenNameIsAnErrorThatSaysSo(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	pairOf(t, "cordon0", "foreign0")
	n := newNetwork(t, osnet.Config{})
	if dev, err := n.Open(); err == nil {
		dev.Close()
		t.Fatal("Open took an interface that is not ours")
	} else if !strings.Contains(err.Error(), "cordon0") {
		t.Errorf("error %q does not name the interface", err)
	}
	must(t, n.Apply(mesh()))
	wantLeads(t, "without a TUN", 0, map[netip.Addr]string{peer4: "refused"})
}

// Packets, not look-ups: what a program sends to a peer comes out of the TUN;
// what our marked socket sends does not.
func TestPacketsTakeTheirWay(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	dev := open(t, n)
	must(t, n.Apply(mesh()))
	marked := net.Dialer{Control: osnet.Control(n.Config().Mark)}
	for _, to := range []netip.Addr{peer4, peer6} {
		at := netip.AddrPortFrom(to, 104).String()
		c, err := marked.Dial("udp", at)
		must(t, err)
		c.Write([]byte("sealed"))
		c.Close()
		c, err = net.Dial("udp", at)
		must(t, err)
		c.Write([]byte("plain"))
		c.Close()
		if got := nextDatagram(t, dev, to); got != "plain" {
			t.Errorf("the TUN carries %q, want what is plain", got)
		}
	}
	must(t, dev.Close())
	c, err := net.Dial("udp", netip.AddrPortFrom(peer4, 104).String())
	if err == nil {
		_, err = c.Write([]byte("plain"))
		c.Close()
	}
	if !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("sending without a TUN = %v, want unreachable", err)
	}
}

// nextDatagram reads dev until a UDP packet to dst comes, and gives its payload.
func nextDatagram(t *testing.T, dev tun.Device, dst netip.Addr) string {
	t.Helper()
	for {
		p := nextPacket(t, dev)
		switch {
		case dst.Is4() && p[0]>>4 == 4 && p[9] == 17 && netip.AddrFrom4([4]byte(p[16:20])) == dst:
			return string(p[28:])
		case dst.Is6() && p[0]>>4 == 6 && p[6] == 17 && netip.AddrFrom16([16]byte(p[24:40])) == dst:
			return string(p[48:])
		}
	}
}

func nextPacket(t *testing.T, dev tun.Device) []byte {
	t.Helper()
	bufs, sizes := make([][]byte, dev.BatchSize()), make([]int, dev.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, 2048)
	}
	timer := time.AfterFunc(patience, func() { dev.Close() })
	defer timer.Stop()
	for {
		n, err := dev.Read(bufs, sizes, 16)
		must(t, err)
		if n > 0 {
			return bufs[0][16 : 16+sizes[0]]
		}
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func addresses(t *testing.T, link netlink.Link) []string {
	t.Helper()
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	must(t, err)
	var out []string
	for _, a := range list {
		if !a.IP.IsLinkLocalUnicast() {
			out = append(out, a.IPNet.String())
		}
	}
	slices.Sort(out)
	return out
}

func table4(t *testing.T, table int) []netlink.Route {
	t.Helper()
	list, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	must(t, err)
	return list
}
