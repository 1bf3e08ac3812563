//go:build linux

package lab_test

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cordonmesh/cordon/integration/lab"
)

func runShell(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

func captured(t *testing.T, c *lab.Capture) [][]byte {
	t.Helper()
	packets, err := c.Stop()
	if err != nil {
		t.Error(err)
	}
	return packets
}

func TestInjectedPacketsArriveAsTheyAre(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	a, b := l.Host("a"), l.Host("b")
	spoofed4, spoofed6 := netip.MustParseAddrPort("192.0.2.9:5"), netip.MustParseAddrPort("[2001:db8::9]:5")
	to4, to6 := netip.AddrPortFrom(b.Addr4(), 4000), netip.AddrPortFrom(b.Addr6(), 4000)
	long := lab.UDP(spoofed4, to4, bytes.Repeat([]byte("marker"), 20))
	long.ID = 77
	long6 := lab.UDP(spoofed6, to6, bytes.Repeat([]byte("marker"), 20))
	long6.ID = 78
	packets := []lab.IP{
		lab.UDP(spoofed4, to4, []byte("marker")),
		lab.UDP(spoofed6, to6, []byte("marker")),
		lab.TCP(spoofed4, to4, lab.SYN, 1, 0, []byte("marker")),
		{Src: spoofed6.Addr(), Dst: to6.Addr(), Protocol: 59, Extensions: []lab.Extension{{Number: 60, Body: []byte("marker")}, {Number: 60}}},
	}
	packets = append(packets, long.Fragments(64)...)
	packets = append(packets, long6.Fragments(64)...)
	seen := b.Capture("eth0", lab.Touching(netip.PrefixFrom(spoofed4.Addr(), 32), netip.PrefixFrom(spoofed6.Addr(), 128)))
	words := b.Capture("eth0", lab.Containing("marker"))
	a.Inject("eth0", b.Addr4(), packets...)
	lab.Eventually(t, 20*time.Second, "all arrive", func() (bool, string) { return seen.Count() >= len(packets), "some are missing" })
	got := captured(t, seen)
	for i, p := range packets {
		if i >= len(got) || !bytes.Equal(got[i], p.Bytes()) {
			t.Errorf("packet %d did not arrive as it was sent: % x", i, p.Bytes())
		}
	}
	if n := len(captured(t, words)); n != len(packets) {
		t.Errorf("the marker was seen in %d of %d packets", n, len(packets))
	}
}

// The receiver's own kernel judges our checksums, reassembles our fragments and
// walks our extension headers: an application gets the data.
func TestInjectedPacketsAreValid(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	a, b := l.Host("a"), l.Host("b")
	for _, c := range []struct{ from, to netip.Addr }{{a.Addr4(), b.Addr4()}, {a.Addr6(), b.Addr6()}} {
		from, to := netip.AddrPortFrom(c.from, 4001), netip.AddrPortFrom(c.to, 4001)
		b.EchoUDP(to)
		long := lab.UDP(from, to, bytes.Repeat([]byte("x"), 300))
		long.ID = 5
		padded := lab.UDP(from, to, []byte("behind options"))
		sent := append(long.Fragments(104), lab.UDP(from, to, []byte("odd")), lab.Echo(c.from, c.to, 9, 1, []byte("ping")),
			lab.TCP(from, netip.AddrPortFrom(c.to, 1), lab.SYN, 7, 0, []byte("odd"))) // nobody listens: a reset
		replies := 4
		if to.Addr().Is6() {
			padded.Extensions = []lab.Extension{{Number: 60, Body: []byte{1, 4}}} // PadN, RFC 8200 section 4.2
			sent, replies = append(sent, padded), 5
		}
		back := a.Capture("eth0", func(p []byte) bool {
			return lab.Touching(netip.PrefixFrom(c.to, c.to.BitLen()))(p) && answers(p, c.to)
		})
		a.Inject("eth0", c.to, sent...)
		lab.Eventually(t, 20*time.Second, "all are answered", func() (bool, string) {
			return back.Count() >= replies, "some are missing"
		})
		captured(t, back)
	}
}

// answers wants what comes from the address: UDP, TCP, and echo replies.
func answers(p []byte, from netip.Addr) bool {
	if from.Is4() {
		src, _ := netip.AddrFromSlice(p[12:16])
		return src == from && (p[9] == 17 || p[9] == 6 || (p[9] == 1 && p[20] == 0))
	}
	src, _ := netip.AddrFromSlice(p[8:24])
	return src == from && (p[6] == 17 || p[6] == 6 || (p[6] == 58 && p[40] == 129))
}

// openTun makes a TUN on the host and gives its program's end.
func openTun(t *testing.T, h *lab.Host, name string) *os.File {
	t.Helper()
	var file *os.File
	err := h.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		t.Fatalf("make the TUN %s on %s: %v", name, h.Name, err)
	}
	return file
}

func TestInjectOnATunReachesItsProgram(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	a := lab.Up(t, lab.Segment("a")).Host("a")
	device := openTun(t, a, "tun7")
	defer device.Close()
	a.MustRun("ip", "link", "set", "tun7", "up")
	seen := a.Capture("tun7", lab.Containing("spoofed"))
	p := lab.UDP(netip.MustParseAddrPort("100.64.0.1:1"), netip.MustParseAddrPort("100.64.0.2:2"), []byte("spoofed"))
	a.Inject("tun7", netip.Addr{}, p)
	device.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 2048)
	for {
		n, err := device.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(buf[:n], p.Bytes()) {
			break // what comes before is the kernel's own
		}
	}
	if n := len(captured(t, seen)); n != 1 {
		t.Errorf("the capture on the TUN saw it %d times", n)
	}
}

func TestCaptureSeesIPOfBothDirectionsAndNothingElse(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	a, b := l.Host("a"), l.Host("b")
	all := a.Capture("eth0", nil)
	wantPings(t, a, b.Addr4(), true) // asks by ARP first
	var out, in int
	for _, p := range captured(t, all) {
		switch {
		case p[0]>>4 == 6: // the kernel's own
		case p[0]>>4 != 4:
			t.Errorf("captured what is not IP: % x", p)
		case p[20] == 8:
			out++
		case p[20] == 0:
			in++
		}
	}
	if out == 0 || in == 0 {
		t.Errorf("%d requests and %d replies were seen", out, in)
	}
}

// A scenario that finds nothing may conclude that nothing was there: what has passed
// counts, however far behind the reader is.
func TestCountIsOfAllThatPassed(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	l := lab.Up(t, lab.Segment("a", "b"))
	a, b := l.Host("a"), l.Host("b")
	sent := a.Capture("eth0", func(p []byte) bool {
		time.Sleep(time.Millisecond) // a busy machine's reader
		return p[0]>>4 == 4 && p[9] == 17
	})
	p := lab.UDP(netip.AddrPortFrom(a.Addr4(), 5), netip.AddrPortFrom(b.Addr4(), 4000), []byte("marker"))
	for n := 20; n <= 100; n += 20 {
		if a.Inject("eth0", b.Addr4(), slices.Repeat([]lab.IP{p}, 20)...); sent.Count() != n {
			t.Errorf("%d are counted of %d", sent.Count(), n)
		}
		if got := len(sent.Packets()); got != n {
			t.Errorf("%d are kept of %d", got, n)
		}
	}
}
