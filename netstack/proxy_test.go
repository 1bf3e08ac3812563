package netstack_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"github.com/cordonmesh/cordon/netstack"
)

// inMesh permits what the tests call the mesh, without its port 25.
func inMesh(_ string, dst netip.AddrPort) bool {
	return dst.Port() != 25 && (netip.MustParsePrefix("100.64.0.0/10").Contains(dst.Addr()) || netip.MustParsePrefix("fd00:c0de::/48").Contains(dst.Addr()))
}

func newProxyLink(t *testing.T, p netstack.Proxy) (l *link, socks, web string) {
	t.Helper()
	l = newLink(t, 0)
	p.Stack = l.a
	ln, web2 := loopback(t), loopback(t)
	background(t, func(ctx context.Context) error { return p.ServeSOCKS(ctx, ln) })
	background(t, func(ctx context.Context) error { return p.ServeCONNECT(ctx, web2) })
	return l, ln.Addr().String(), web2.Addr().String()
}

func TestSOCKSConnect(t *testing.T) {
	l, at, _ := newProxyLink(t, netstack.Proxy{Permit: inMesh})
	background(t, afterAll(listen(t, l.b, netip.AddrPortFrom(netip.Addr{}, 104))))
	d, err := proxy.SOCKS5("tcp", at, nil, nil) // a client that others wrote
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []netip.Addr{b4, b6} {
		c, err := d.Dial("tcp", join(to, 104))
		if err != nil {
			t.Fatal(err)
		}
		if under, ok := c.(interface{ CloseWrite() error }); !ok {
			t.Logf("%T has no CloseWrite: the end of the question is tested on the raw client", under)
		}
		c.Close()
	}
	c := socksDial(t, at, 1, append([]byte{1}, b4.AsSlice()...), 104)
	if code := socksCode(t, c); code != 0 {
		t.Fatalf("reply %d", code)
	}
	if got, err := request(t, c, "C-FIND"); err != nil || got != "answer to C-FIND" {
		t.Errorf("got %q, %v", got, err)
	}
}

// socksDial sends greeting and request as bytes; address begins with its type.
func socksDial(t testing.TB, at string, command byte, address []byte, port uint16) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	m := append([]byte{5, 1, 0, 5, command, 0}, address...)
	if _, err := c.Write(binary.BigEndian.AppendUint16(m, port)); err != nil {
		t.Fatal(err)
	}
	var method [2]byte
	if _, err := io.ReadFull(c, method[:]); err != nil || method != [2]byte{5, 0} {
		t.Fatalf("method %v, %v", method, err)
	}
	return c.(*net.TCPConn)
}

func socksCode(t testing.TB, c net.Conn) byte {
	code, _ := socksAnswer(t, c)
	return code
}

func socksAnswer(t testing.TB, c net.Conn) (byte, netip.AddrPort) {
	t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	addr := make([]byte, map[byte]int{1: 4, 4: 16}[head[3]]+2)
	if _, err := io.ReadFull(c, addr); err != nil {
		t.Fatal(err)
	}
	a, _ := netip.AddrFromSlice(addr[:len(addr)-2])
	return head[1], netip.AddrPortFrom(a, binary.BigEndian.Uint16(addr[len(addr)-2:]))
}

func TestSOCKSSaysWhyNot(t *testing.T) {
	l, at, _ := newProxyLink(t, netstack.Proxy{Permit: inMesh})
	v4 := append([]byte{1}, b4.AsSlice()...)
	name := func(n string) []byte { return append([]byte{3, byte(len(n))}, n...) }
	for _, c := range []struct {
		what    string
		judge   verdict
		command byte
		to      []byte
		port    uint16
		want    byte
	}{
		{"nobody listens", nil, 1, v4, 104, 5},
		{"the policy forbids it", refusing(13, 1), 1, v4, 104, 2},
		{"the policy forbids it, IPv6", refusing(13, 1), 1, append([]byte{4}, b6.AsSlice()...), 104, 2},
		{"no such peer", refusing(1, 3), 1, v4, 104, 4},
		{"no route", refusing(0, 0), 1, v4, 104, 3},
		{"outside the mesh", nil, 1, []byte{1, 192, 0, 2, 1}, 443, 2},
		{"this machine", nil, 1, []byte{1, 127, 0, 0, 1}, 22, 2},
		{"this machine, as a name", nil, 1, name("127.0.0.1"), 22, 2},
		{"this machine, mapped", nil, 1, append([]byte{4}, netip.MustParseAddr("::ffff:127.0.0.1").AsSlice()...), 22, 2},
		{"a port that is not permitted", nil, 1, v4, 25, 2},
		{"port zero", nil, 1, v4, 0, 2},
		{"a name without a resolver", nil, 1, name("pacs.mesh"), 104, 4},
		{"no name", nil, 1, name(""), 104, 8},
		{"bytes that are no name", nil, 1, name("a\x00b"), 104, 8},
		{"BIND", nil, 2, v4, 104, 7},
		{"no such type", nil, 1, []byte{2, 1, 2, 3, 4}, 104, 8},
	} {
		l.setJudge(c.judge)
		if got := socksCode(t, socksDial(t, at, c.command, c.to, c.port)); got != c.want {
			t.Errorf("%s: reply %d, want %d", c.what, got, c.want)
		}
	}
}

func TestProxyWithoutPermitRefusesAll(t *testing.T) {
	l, at, _ := newProxyLink(t, netstack.Proxy{})
	background(t, echo(listen(t, l.b, netip.AddrPortFrom(b4, 104))))
	if got := socksCode(t, socksDial(t, at, 1, append([]byte{1}, b4.AsSlice()...), 104)); got != 2 {
		t.Errorf("reply %d, want 2", got)
	}
}

// A name is judged by what it means now, not by what it is called.
func TestSOCKSNameLeadsNowhereElse(t *testing.T) {
	s := newStack(t, netstack.Config{Addresses: []netip.Addr{a4}, Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		return map[string][]netip.Addr{"inside.mesh": {a4}, "rebound.mesh": {netip.MustParseAddr("10.0.0.1")}}[host], nil
	}})
	background(t, echo(listen(t, s, netip.AddrPortFrom(a4, 104))))
	ln := loopback(t)
	p := netstack.Proxy{Stack: s, Permit: inMesh}
	background(t, func(ctx context.Context) error { return p.ServeSOCKS(ctx, ln) })
	for name, want := range map[string]byte{"inside.mesh": 0, "rebound.mesh": 2, "unknown.mesh": 4} {
		if got := socksCode(t, socksDial(t, ln.Addr().String(), 1, append([]byte{3, byte(len(name))}, name...), 104)); got != want {
			t.Errorf("%s: reply %d, want %d", name, got, want)
		}
	}
}

func TestSOCKSClientWithoutAnAcceptableMethod(t *testing.T) {
	_, at, _ := newProxyLink(t, netstack.Proxy{Permit: inMesh})
	for greeting, want := range map[string]string{
		"\x05\x01\x02":         "\x05\xff", // password only
		"\x05\x00":             "\x05\xff",
		"\x04\x01\x00\x50":     "", // SOCKS4
		"GET / HTTP/1.1\r\n\r": "",
	} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, greeting)
		got := make([]byte, 10)
		n, _ := io.ReadFull(c, got)
		if string(got[:n]) != want {
			t.Errorf("answer to %q is %q, want %q", greeting, got[:n], want)
		}
		c.Close()
	}
}

func TestSOCKSAssociate(t *testing.T) {
	l, at, _ := newProxyLink(t, netstack.Proxy{Permit: inMesh})
	var services []net.PacketConn
	for _, a := range []netip.Addr{b4, b6} {
		pc, err := l.b.ListenPacket("udp", netip.AddrPortFrom(a, 161))
		if err != nil {
			t.Fatal(err)
		}
		services = append(services, pc)
		go func() {
			buf := make([]byte, 1500)
			for {
				n, from, err := pc.ReadFrom(buf)
				if err != nil {
					return
				}
				pc.WriteTo(append([]byte("re: "), buf[:n]...), from)
			}
		}()
	}
	defer func() {
		for _, pc := range services {
			pc.Close()
		}
	}()
	control := socksDial(t, at, 3, []byte{1, 0, 0, 0, 0}, 0)
	code, bound := socksAnswer(t, control)
	if code != 0 || !bound.IsValid() || bound.Port() == 0 {
		t.Fatalf("reply %d, %v", code, bound)
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(bound))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if runtime.GOOS == "linux" { // where all of 127.0.0.0/8 is this machine
		other, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(bound))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		// Had it been taken for the client, the client would not be heard.
		other.Write([]byte("\x00\x00\x00\x01\x64\x40\x00\x02\x00\xa1x"))
	}
	// Dropped: short, fragmented, outside the mesh, no such type.
	for _, junk := range []string{"\x00\x00", "\x00\x00\x01\x01\x64\x40\x00\x02\x00\xa1x", "\x00\x00\x00\x01\x7f\x00\x00\x01\x00\xa1x", "\x00\x00\x00\x09aaaaaaaaaa"} {
		c.Write([]byte(junk))
	}
	for _, to := range []netip.Addr{b4, b6} {
		head := []byte{0, 0, 0, 1}
		if to.Is6() {
			head[3] = 4
		}
		head = binary.BigEndian.AppendUint16(append(head, to.AsSlice()...), 161)
		c.Write(append(bytes.Clone(head), "get"...))
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], append(head, "re: get"...)) {
			t.Errorf("got %q, %v", buf[:n], err)
		}
	}
	// The association ends with its connection: a closed port answers the next
	// datagram with ICMP, which the connected socket reads as an error.
	control.Close()
	for err = nil; err == nil; {
		_, err = c.Write([]byte{0, 0})
	}
	if isTimeout(err) {
		t.Error("the association outlived its connection")
	}
}

func TestHTTPConnect(t *testing.T) {
	l, _, at := newProxyLink(t, netstack.Proxy{Permit: inMesh})
	background(t, afterAll(listen(t, l.b, netip.AddrPortFrom(b4, 443))))
	for _, r := range []struct {
		what, line string
		judge      verdict
		want       int
	}{
		{"outside the mesh", "CONNECT 192.0.2.1:443", nil, http.StatusForbidden},
		{"forbidden", "CONNECT 100.64.0.2:443", refusing(13, 1), http.StatusForbidden},
		{"nobody listens", "CONNECT 100.64.0.2:444", nil, http.StatusBadGateway},
		{"not a tunnel", "GET http://100.64.0.2/", nil, http.StatusMethodNotAllowed},
		{"no port", "CONNECT 100.64.0.2", nil, http.StatusBadRequest},
		{"a tunnel", "CONNECT 100.64.0.2:443", nil, http.StatusOK},
	} {
		l.setJudge(r.judge)
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, r.line+" HTTP/1.1\r\nHost: x\r\n\r\n")
		body := bufio.NewReader(c)
		res, err := http.ReadResponse(body, &http.Request{Method: http.MethodConnect})
		if err != nil || res.StatusCode != r.want {
			t.Fatalf("%s: %v, %v; want %d", r.what, res, err, r.want)
		}
		if r.want == http.StatusOK {
			io.WriteString(c, "hello")
			c.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(body); err != nil || string(got) != "answer to hello" {
				t.Errorf("got %q, %v", got, err)
			}
		}
		c.Close()
	}
}
