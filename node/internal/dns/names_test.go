package dns_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/integration/lab/resolvedtest"
	"github.com/cordonmesh/cordon/node/internal/dns"
	"github.com/cordonmesh/cordon/node/local"
)

// machine is a machine whose resolver a test plays. Its mesh's interface is the
// loopback one, which is there on every machine.
type machine struct {
	*dns.Names
	t    *testing.T
	port uint16
	stop func()
}

const iface = "lo"

// freePort gives a port that nobody uses at an address.
func freePort(t *testing.T, at netip.Addr) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func start(t *testing.T, c dns.Config) *machine {
	t.Helper()
	c.Interface, c.Log, c.Every = iface, slog.New(slog.DiscardHandler), 5*time.Millisecond
	if c.Port == 0 {
		c.Port = freePort(t, dns.Loopback(iface))
	}
	n, err := dns.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	m := &machine{Names: n, t: t, port: c.Port}
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		m.stop = func() {}
	}
	t.Cleanup(func() { m.stop() })
	go func() { ended <- n.Run(ctx) }()
	return m
}

// until waits for a status.
func (m *machine) until(what string, want func(local.Names) bool) {
	m.t.Helper()
	eventually(m.t, what, func() (bool, string) {
		s := m.Status()
		return want(s), fmt.Sprintf("%+v", s)
	})
}

func (m *machine) answers(via string) {
	m.t.Helper()
	m.until("names are answered by "+via, func(s local.Names) bool { return s.Via == via })
}

func eventually(t *testing.T, what string, ask func() (bool, string)) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		ok, why := ask()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not so: %s", what, why)
		}
	}
}

// asks is a question of a program of this machine.
func (m *machine) asks(network, name string, qtype uint16) (*miekg.Msg, error) {
	c := miekg.Client{Net: network, Timeout: 5 * time.Second}
	in, _, err := c.Exchange(query(name, qtype), netip.AddrPortFrom(dns.Loopback(iface), m.port).String())
	return in, err
}

// systemd-resolved asks us for the mesh's names, and for nothing else; what
// somebody takes back is put back and told of; in the end nothing is left.
func TestResolvedAsksForTheMeshAlone(t *testing.T) {
	bus := resolvedtest.Start(t)
	m := start(t, dns.Config{Mode: dns.Resolved, Bus: bus.Address(), Routes: []dns.Route{route("hospital.example", netip.MustParseAddrPort("10.0.0.53:53"))}})
	m.until("there is no map", func(s local.Names) bool { return s.Via == "" && s.Problem != "" && len(s.Servers) == 0 })
	m.SetMap(hospitalMap())
	m.answers("systemd-resolved")
	asIs := func(l resolvedtest.Link) bool {
		return slices.Equal(l.DNS, hospitalMap().Self.Addresses) && !l.DefaultRoute && len(l.Off) >= 4 && len(l.Domains) == 2+64+1 &&
			slices.Contains(l.Domains, "~"+domain) && slices.Contains(l.Domains, "~hospital.example") && slices.Contains(l.Domains, "~127.100.in-addr.arpa")
	}
	if l, ok := bus.Only(); !ok || !asIs(l) || bus.Links()[resolvedtest.Index(iface)].DNS == nil {
		t.Errorf("set were %+v", bus.Links())
	}
	if s := m.Status(); s.Problem != "" || !slices.Equal(s.Servers, hospitalMap().Self.Addresses) || !slices.Equal(s.Routes, []string{"hospital.example"}) {
		t.Errorf("status %+v", s)
	}
	bus.Forget()
	m.until("it is told that somebody took it back", func(s local.Names) bool { return s.Via != "" && strings.Contains(s.Problem, "put back") })
	if l, ok := bus.Only(); !ok || !asIs(l) {
		t.Errorf("put back were %+v", bus.Links())
	}
	bus.Volunteer()
	eventually(t, "we are not asked for all names", func() (bool, string) {
		l, _ := bus.Only()
		return asIs(l), fmt.Sprint(l)
	})

	next := hospitalMap()
	next.Self.Domain = "other.example"
	m.SetMap(next)
	eventually(t, "another domain is told", func() (bool, string) {
		l, _ := bus.Only()
		return slices.Contains(l.Domains, "~other.example") && !slices.Contains(l.Domains, "~"+domain), fmt.Sprint(l)
	})
	m.stop()
	if left := bus.Links(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// An old systemd-resolved takes fewer domains: then addresses have no names.
func TestOldResolvedTakesWhatItCan(t *testing.T) {
	bus := resolvedtest.Start(t)
	bus.Limit(32)
	m := start(t, dns.Config{Mode: dns.Resolved, Bus: bus.Address()})
	m.SetMap(hospitalMap())
	m.answers("systemd-resolved")
	if l, _ := bus.Only(); !slices.Equal(l.Domains, []string{"~" + domain}) {
		t.Errorf("told were %v", l.Domains)
	}
}

// What was refused half way is taken back whole.
func TestHalfToldIsTakenBack(t *testing.T) {
	bus := resolvedtest.Start(t)
	bus.Limit(0)
	m := start(t, dns.Config{Mode: dns.Resolved, Bus: bus.Address()})
	m.SetMap(hospitalMap())
	m.until("it is told of", func(s local.Names) bool {
		return s.Via == "" && strings.Contains(s.Problem, "telling systemd-resolved")
	})
	m.stop()
	if left := bus.Links(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Neither the end of systemd-resolved nor that of the bus is the end of names.
func TestResolvedComesBack(t *testing.T) {
	bus := resolvedtest.Start(t)
	bus.Run(false)
	m := start(t, dns.Config{Mode: dns.Auto, Bus: bus.Address()})
	m.SetMap(hospitalMap())
	off := func(s local.Names) bool {
		return s.Via == "" && strings.Contains(s.Problem, "does not run") && len(s.Servers) == 0
	}
	m.until("without systemd-resolved nothing is answered", off)
	bus.Run(true)
	m.answers("systemd-resolved")
	bus.Hangup()
	bus.Forget()
	eventually(t, "told again by a new connection", func() (bool, string) {
		l, ok := bus.Only()
		return ok && len(l.DNS) == 2, fmt.Sprint(bus.Links())
	})
	bus.Run(false)
	m.until("it ends", off)
	m.stop()
	if start(t, dns.Config{Mode: dns.Auto, Bus: "unix:path=/nonexistent"}).SetMap(hospitalMap()); len(bus.Links()) != 0 {
		t.Error("left behind:", bus.Links())
	}
}

// In the file our server stands before what was there, which stays; whoever
// writes another file is outdone, and its servers are asked from then on; in the
// end the file is as it was.
func TestFileHoldsOursAndWhatWasThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, "# by hand\nsearch hospital.example\nnameserver 192.0.2.53\n")
	m := start(t, dns.Config{Mode: dns.File, ResolvConf: path})
	m.SetMap(hospitalMap())
	m.answers(path)
	text := read(t, path)
	if !strings.HasSuffix(text, "# by hand\nsearch hospital.example\nnameserver 192.0.2.53\n") || strings.Index(text, "nameserver "+dns.Loopback(iface).String()) > strings.Index(text, "192.0.2.53") {
		t.Errorf("the file is\n%s", text)
	}
	beside := func(want string) {
		t.Helper()
		eventually(t, "the node's own questions go to "+want, func() (bool, string) {
			got := m.Beside(netip.AddrPortFrom(dns.Loopback(iface), m.port).String())
			return got == want, got
		})
	}
	beside("192.0.2.53:53")
	if got := m.Beside("192.0.2.99:53"); got != "192.0.2.99:53" {
		t.Error("another server became", got)
	}
	if in, err := m.asks("udp", "ehr."+domain, miekg.TypeA); err != nil || told(in) != "NOERROR 100.64.0.2" {
		t.Error(in, err)
	}
	write(t, path, "nameserver 198.51.100.53\n") // another network's DHCP
	m.until("it is told of", func(s local.Names) bool { return strings.Contains(s.Problem, "put back") })
	beside("198.51.100.53:53")
	m.stop()
	if got := read(t, path); got != "nameserver 198.51.100.53\n" {
		t.Errorf("left is\n%s", got)
	}
	if in, err := m.asks("udp", "ehr."+domain, miekg.TypeA); err == nil {
		t.Error("answered after the end:", in)
	}
}

// A program that takes us out again and again is outdone less and less often, and
// told of.
func TestTwoProgramsDoNotFightForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, "nameserver 192.0.2.53\n")
	m := start(t, dns.Config{Mode: dns.File, ResolvConf: path})
	m.SetMap(hospitalMap())
	m.answers(path)
	eventually(t, "the daemon gives way for a while", func() (bool, string) {
		write(t, path, "nameserver 192.0.2.53\n")
		s := m.Status()
		return s.Via == "" && strings.Contains(s.Problem, "again and again"), fmt.Sprintf("%+v", s)
	})
}

// A file that names nobody else is left alone, since a dead daemon would leave a
// machine without any resolver; and so is one that leads to systemd-resolved.
func TestFileWithoutAnotherServerIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for what, content := range map[string]string{"no server": "search x\n", "nothing": "", "too much": strings.Repeat("nameserver 192.0.2.53\n", 4000), "systemd-resolved": "nameserver 127.0.0.53\n"} {
		write(t, path, content)
		m := start(t, dns.Config{Mode: dns.File, ResolvConf: path})
		m.SetMap(hospitalMap())
		m.until("it is told why", func(s local.Names) bool {
			return s.Via == "" && (strings.Contains(s.Problem, path) || strings.Contains(s.Problem, "--dns resolved"))
		})
		m.stop()
		if got := read(t, path); got != content {
			t.Errorf("%s: the file is\n%s", what, got)
		}
	}
	os.Remove(path)
	m := start(t, dns.Config{Mode: dns.File, ResolvConf: path})
	m.SetMap(hospitalMap())
	m.until("no file", func(s local.Names) bool { return s.Via == "" && strings.Contains(s.Problem, "no such file") })
	m.stop()
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made")
	}
}

// Programs are answered over UDP and TCP, many questions on one connection, long
// answers whole.
func TestServes(t *testing.T) {
	var many []netip.Addr
	for i := range 200 {
		many = append(many, addr(fmt.Sprintf("100.64.%d.9", i)))
	}
	u := newUpstream(t, always("x. 9 IN A 192.0.2.9"))
	m := start(t, dns.Config{Mode: dns.Serve, Routes: []dns.Route{route("hospital.example", u.at)}})
	m.SetMap(hospitalMap(wire.PeerRecord{Name: "many", Addresses: many}))
	m.answers("a resolver that you tell")
	for _, network := range []string{"udp", "tcp"} {
		for name, want := range map[string]string{"ehr." + domain: "NOERROR 100.64.0.2", "pump." + domain: "NXDOMAIN", "www.hospital.example": "NOERROR 192.0.2.9", "example.com": "REFUSED"} {
			in, err := m.asks(network, name, miekg.TypeA)
			if err != nil || told(in) != want {
				t.Errorf("%s over %s: %v, %v, want %s", name, network, in, err, want)
			}
		}
	}
	in, err := m.asks("tcp", "many."+domain, miekg.TypeA)
	if err != nil || len(in.Answer) != 200 {
		t.Error("a long answer:", err)
	}
	conn, err := miekg.Dial("tcp", netip.AddrPortFrom(dns.Loopback(iface), m.port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		if err := conn.WriteMsg(query("ehr."+domain, miekg.TypeA)); err != nil {
			t.Fatal(err)
		}
		if in, err := conn.ReadMsg(); err != nil || told(in) != "NOERROR 100.64.0.2" {
			t.Fatal(in, err)
		}
	}
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Conn.Write([]byte{0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a question of 65535 bytes is waited for: %d, %v", n, err)
	}
}

// Whoever sends us our own questions is told of, and asked nothing.
func TestCircleIsDetected(t *testing.T) {
	port := freePort(t, dns.Loopback(iface))
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, "nameserver 192.0.2.53\n")
	m := start(t, dns.Config{Mode: dns.File, ResolvConf: path, Port: port, Routes: []dns.Route{route("hospital.example", netip.AddrPortFrom(dns.Loopback(iface), port))}})
	m.SetMap(hospitalMap())
	m.until("the circle is told of", func(s local.Names) bool {
		return s.Via != "" && strings.Contains(s.Problem, "hospital.example") && strings.Contains(s.Problem, "itself")
	})
	began := time.Now()
	if in, err := m.asks("udp", "www.hospital.example", miekg.TypeA); err != nil || told(in) != "SERVFAIL" || time.Since(began) > time.Second {
		t.Errorf("a question that would come back: %v, %v after %s", in, err, time.Since(began))
	}
}

// A port that another program has is told of, and taken when it is free.
func TestTakenPort(t *testing.T) {
	other, err := net.ListenPacket("udp", netip.AddrPortFrom(dns.Loopback(iface), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	m := start(t, dns.Config{Mode: dns.Serve, Port: other.LocalAddr().(*net.UDPAddr).AddrPort().Port()})
	m.SetMap(hospitalMap())
	m.until("it is told why", func(s local.Names) bool { return s.Via == "" && strings.Contains(s.Problem, "another name server") })
	other.Close()
	m.answers("a resolver that you tell")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
