package osnet_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

var (
	street4, visitor4 = netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	street6, visitor6 = netip.MustParseAddr("2001:db8:5::1"), netip.MustParseAddr("2001:db8:5::2")
)

func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %v: %v: %s", args, err, out)
	}
	return string(out)
}

// counted is how many packets the rule with that comment met, in all chains.
func counted(t *testing.T, comment string) (n int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`counter packets (\d+) .*comment "`+comment+`"`).FindAllStringSubmatch(nft(t, "list", "ruleset"), -1) {
		more, _ := strconv.Atoi(m[1])
		n += more
	}
	return n
}

// visitor puts a machine on the other end of a cable, street0, that knows this
// one as its router. It owns the peers' addresses too, to speak in their names.
func visitor(t *testing.T, here netns.NsHandle) netns.NsHandle {
	t.Helper()
	street := pairOf(t, "street0", "visitor0")
	addAddress(t, street, street4.String()+"/24")
	addAddress(t, street, street6.String()+"/64")
	there, err := netns.New()
	must(t, err)
	must(t, netns.Set(here))
	t.Cleanup(func() { there.Close() })
	link, err := netlink.LinkByName("visitor0")
	must(t, err)
	must(t, netlink.LinkSetNsFd(link, int(there)))
	in(t, there, func() error {
		for _, name := range []string{"lo", "visitor0"} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetUp(link); err != nil {
				return err
			}
		}
		link, _ := netlink.LinkByName("visitor0")
		for _, a := range []string{visitor4.String() + "/24", visitor6.String() + "/64", peer4.String() + "/32", peer6.String() + "/128"} {
			addAddress(t, link, a)
		}
		for _, via := range []netip.Addr{street4, street6} {
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: via.AsSlice()}); err != nil {
				return err
			}
		}
		return nil
	})
	return there
}

// in runs f in a namespace, on a thread of its own, and waits for its end.
func in(t *testing.T, ns netns.NsHandle, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is not given back
		err := netns.Set(ns)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// say sends a datagram in the name of src.
func say(src, dst netip.Addr, word string) error {
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0))}
	c, err := d.Dial("udp", netip.AddrPortFrom(dst, 5000).String())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(word))
	return err
}

// hear gives the words that arrive here on port 5000, at whatever address.
func hear(t *testing.T) <-chan string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "[::]:5000")
	must(t, err)
	words, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 100)
		for {
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			words <- string(buf[:n])
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return words
}

// A neighbour reaches no mesh address but through the tunnel, and speaks to no
// address of this machine in a peer's name. A firewall that accepts does not
// change that, and what is the neighbour's own business goes on.
func TestWallKeepsNeighboursOut(t *testing.T) {
	if !rooted(t) {
		return
	}
	there := visitor(t, namespace(t))
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	nft(t, "add table inet admin; add chain inet admin in { type filter hook prerouting priority -400; }; add rule inet admin in accept")
	words := hear(t)
	l, err := net.Listen("tcp", "[::]:443")
	must(t, err)
	defer l.Close()
	tries := []struct{ src, own, dst netip.Addr }{
		{visitor4, visitor4, self4}, {peer4, visitor4, self4}, {peer4, visitor4, street4},
		{visitor6, visitor6, self6}, {peer6, visitor6, self6}, {peer6, visitor6, street6},
	}
	hears := func(src, own, dst netip.Addr) bool {
		heard := false
		street := street4
		if dst.Is6() {
			street = street6
		}
		in(t, there, func() error { return errors.Join(say(src, dst, "past the tunnel"), say(own, street, "end")) })
		for {
			select {
			case word := <-words:
				if word == "end" {
					return heard
				}
				heard = true
			case <-time.After(patience):
				t.Fatal("what is permitted does not arrive")
			}
		}
	}
	dials := func(own, dst netip.Addr) (err error) {
		in(t, there, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(own, 0))}
			var c net.Conn
			if c, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(dst, 443).String()); err == nil {
				c.Close()
			}
			return nil
		})
		return err
	}
	judge := func(when string, pass bool) {
		t.Helper()
		for _, try := range tries {
			if hears(try.src, try.own, try.dst) != pass {
				t.Errorf("%s: a datagram from %s to %s arrives: %v", when, try.src, try.dst, !pass)
			}
		}
		for own, to := range map[netip.Addr]netip.Addr{visitor4: self4, visitor6: self6} {
			if err := dials(own, to); (err == nil) != pass {
				t.Errorf("%s: a connection to %s: %v", when, to, err)
			}
		}
	}
	judge("with the wall", false)
	if a, b := counted(t, "to this node past the tunnel.*"), counted(t, "from the mesh past the tunnel"); a < 6 || b != 2 {
		t.Errorf("counted %d and %d packets", a, b)
	}
	if n := sysctl(t, "net/netfilter/nf_conntrack_count"); n != "0" {
		t.Errorf("connections are tracked: %s", n)
	}
	must(t, n.Close())
	if got := nft(t, "list", "tables"); got != "table inet admin\n" {
		t.Errorf("Close left of nftables: %q", got)
	}
	judge("without", true)
}

// A provider's router may have an address of the mesh's range, and what it says
// of a packet that was too big must arrive; nothing else of it does.
func TestWallPassesErrorsOfRouters(t *testing.T) {
	if !rooted(t) {
		return
	}
	there := visitor(t, namespace(t))
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	l, err := net.ListenPacket("ip4:icmp", street4.String())
	must(t, err)
	defer l.Close()
	in(t, there, func() error {
		c, err := net.ListenPacket("ip4:icmp", peer4.String())
		if err != nil {
			return err
		}
		defer c.Close()
		for _, kind := range []byte{0, 5, 8, 3, 11, 12} {
			message := append([]byte{kind, 4}, make([]byte, 34)...)
			s := sum(message)
			message[2], message[3] = byte(s>>8), byte(s)
			if _, err := c.WriteTo(message, &net.IPAddr{IP: street4.AsSlice()}); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, l.SetReadDeadline(time.Now().Add(patience)))
	for _, want := range []byte{3, 11, 12} {
		buf := make([]byte, 100)
		if _, _, err := l.ReadFrom(buf); err != nil || buf[0] != want {
			t.Fatalf("type %d arrives, want %d, %v", buf[0], want, err)
		}
	}
}

// While our rules are gone, what is for the mesh is refused, and its sender is
// told at once. Our own sealed packets, and what was left to the machine's other
// routes, go on.
func TestWallHoldsWithoutRules(t *testing.T) {
	if !rooted(t) {
		return
	}
	namespace(t)
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	w := mesh()
	direct := netip.MustParsePrefix("10.20.30.0/24")
	w.Routes, w.Direct = append(w.Routes, netip.MustParsePrefix("10.20.30.40/32"), netip.MustParsePrefix("192.0.2.0/24")), []netip.Prefix{direct}
	must(t, n.Apply(w))
	dropRules(t, n)
	sends := func(to string, mark uint32) error {
		d := net.Dialer{Timeout: patience, Control: osnet.Control(mark)}
		c, err := d.Dial("udp", to)
		must(t, err)
		defer c.Close()
		raw, err := c.(*net.UDPConn).SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) {
			must(t, syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1))
		}))
		_, err = c.Write([]byte("a word"))
		return err
	}
	for _, to := range []netip.Addr{peer4, peer6, noPeer4, noPeer6, routed, netip.MustParseAddr("10.20.30.40"), netip.MustParseAddr("192.0.2.7")} {
		at := netip.AddrPortFrom(to, 5000).String()
		if err := sends(at, 0); !errors.Is(err, syscall.EPERM) {
			t.Errorf("to %s: %v, want that it is not permitted", to, err)
		}
		if err := sends(at, n.Config().Mark); err != nil {
			t.Errorf("sealed, to %s: %v", to, err)
		}
	}
	for _, at := range []string{"198.51.100.1:5000", "[2001:db8:ffff::1]:5000", "10.20.30.1:5000", "192.0.2.255:5000"} {
		if err := sends(at, 0); err != nil {
			t.Errorf("to %s: %v", at, err)
		}
	}
	if got := counted(t, "to the mesh past the tunnel"); got != 7 {
		t.Errorf("counted %d refused packets, want 7", got)
	}
	// A program in the middle of connecting learns it with its next packet.
	began := time.Now()
	c, err := net.DialTimeout("tcp", netip.AddrPortFrom(peer4, 443).String(), patience)
	if err == nil {
		c.Close()
	}
	took := time.Since(began)
	t.Logf("a connection that begins is refused after %s", took.Round(time.Millisecond))
	if !errors.Is(err, syscall.EHOSTUNREACH) || took > 10*time.Second {
		t.Errorf("connecting: %v after %s", err, took)
	}
}

// A gateway's neighbours are not led past the tunnel either.
func TestWallHoldsForWhatIsForwarded(t *testing.T) {
	if !rooted(t) {
		return
	}
	there := visitor(t, namespace(t))
	n := newNetwork(t, osnet.Config{})
	open(t, n)
	must(t, n.Apply(mesh()))
	_, err := n.EnableForwarding([]netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:5::/64")})
	must(t, err)
	must(t, os.WriteFile("/proc/sys/net/ipv4/conf/underlay0/forwarding", []byte("1"), 0))
	dropRules(t, n)
	for _, rule := range fenceRules(t) {
		must(t, netlink.RuleDel(&rule))
	}
	before := counted(t, "to the mesh past the tunnel.*")
	in(t, there, func() error {
		return errors.Join(say(visitor4, noPeer4, "a word"), say(visitor6, noPeer6, "a word"), say(visitor4, routed, "a word"))
	})
	deadline := time.Now().Add(patience)
	for counted(t, "to the mesh past the tunnel.*") < before+3 {
		if time.Now().After(deadline) {
			t.Fatalf("forwarded past the tunnel:\n%s", nft(t, "list", "ruleset"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// dropRules takes away the rules that lead into our table.
func dropRules(t *testing.T, n *osnet.Network) {
	t.Helper()
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rule := netlink.NewRule()
		rule.Priority, rule.Table, rule.Family = osnet.DefaultPriority, int(n.Config().Table), family
		rule.Invert, rule.Mark = true, n.Config().Mark
		must(t, netlink.RuleDel(rule))
	}
	wantLeads(t, "without rules", 0, map[netip.Addr]string{peer4: "underlay0", peer6: "underlay0"})
}

func fenceRules(t *testing.T) (rules []netlink.Rule) {
	t.Helper()
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RuleList(family)
		must(t, err)
		for _, r := range list {
			if r.Protocol == 0xc5 {
				r.Family = family
				rules = append(rules, r)
			}
		}
	}
	return rules
}
