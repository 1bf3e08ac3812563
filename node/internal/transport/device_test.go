package transport_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

// spy is the default bind, and notes what leaves first.
type spy struct {
	conn.Bind
	mu   sync.Mutex
	left []string
}

func (s *spy) Send(bufs [][]byte, ep conn.Endpoint) error {
	s.mu.Lock()
	for _, b := range bufs {
		what := "wireguard"
		if probe.Is(b) {
			what = "probe"
		}
		if len(s.left) < 100 {
			s.left = append(s.left, what)
		}
	}
	s.mu.Unlock()
	return s.Bind.Send(bufs, ep)
}

func (s *spy) first() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.left) == 0 {
		return "nothing"
	}
	return s.left[0]
}

// machine is a node with a WireGuard device on real loopback sockets.
type machine struct {
	*node
	tunnel key.TunnelPrivate
	spy    *spy
	tun    *tuntest.ChannelTUN
	dev    *device.Device
	ip     netip.Addr
}

func newMachine(t *testing.T, id, ip string) *machine {
	t.Helper()
	s := &spy{Bind: conn.NewDefaultBind()}
	m := newMachineOn(t, newNode(t, id, transport.Config{Bind: s}), ip)
	m.spy = s
	return m
}

// newMachineOn gives a node a device. It has no spy.
func newMachineOn(t *testing.T, n *node, ip string) *machine {
	t.Helper()
	m := &machine{node: n, tunnel: key.NewTunnel(), tun: tuntest.NewChannelTUN(), ip: netip.MustParseAddr(ip)}
	m.dev = device.NewDevice(m.tun.TUN(), m.Bind(), device.NewLogger(device.LogLevelError, n.id+": "))
	m.dev.DisableSomeRoamingForBrokenMobileSemantics()
	raw := m.tunnel.Raw()
	m.set(t, "private_key=%s", hex.EncodeToString(raw[:]))
	if err := m.dev.Up(); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) set(t *testing.T, format string, args ...any) {
	t.Helper()
	if err := m.dev.IpcSet(fmt.Sprintf(format, args...) + "\n"); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) add(t *testing.T, other *machine) {
	t.Helper()
	raw := other.tunnel.Public().Raw()
	m.set(t, "public_key=%s\nendpoint=cordon:%s\nallowed_ip=%s/32", hex.EncodeToString(raw[:]), other.id, other.ip)
}

func (m *machine) loopback() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), m.Port())
}

// reach sends a packet from m's system to other's, until it arrives.
func (m *machine) reach(t *testing.T, other *machine) {
	t.Helper()
	packet := tuntest.Ping(other.ip, m.ip)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	late := time.After(30 * time.Second)
	m.tun.Outbound <- packet
	for {
		select {
		case got := <-other.tun.Inbound:
			if !bytes.Equal(got, packet) {
				t.Fatalf("%s got another packet", other.id)
			}
			return
		case <-again.C:
			m.tun.Outbound <- packet
		case <-late:
			t.Fatalf("no packet from %s to %s; paths: %+v %+v", m.id, other.id, m.Paths(), other.Paths())
		}
	}
}

func TestTwoDevicesFindEachOtherAndCarryTraffic(t *testing.T) {
	a, b := newMachine(t, "a", "10.9.0.1"), newMachine(t, "b", "10.9.0.2")
	defer a.run(t)()
	defer b.run(t)()
	defer a.dev.Close()
	defer b.dev.Close()
	a.SetPeers([]transport.Peer{b.peer(b.loopback())})
	b.SetPeers([]transport.Peer{a.peer()}) // b learns a's address from a's probes
	a.add(t, b)
	b.add(t, a)

	a.reach(t, b)
	b.reach(t, a)
	if a.spy.first() != "probe" || b.spy.first() != "probe" {
		t.Errorf("first to leave: %s and %s, want probes", a.spy.first(), b.spy.first())
	}
	for _, m := range []*machine{a, b} {
		if text, _ := m.dev.IpcGet(); !strings.Contains(text, "endpoint=cordon:") {
			t.Errorf("%s: WireGuard has replaced the virtual endpoint:\n%s", m.id, text)
		}
	}
	if in := a.Paths()["b"]; in.Endpoint != b.loopback() || in.RTT <= 0 {
		t.Errorf("a's path: %+v", in)
	}

	// The device goes down and up, then reopens its sockets: b follows. WireGuard
	// rounds the time stamp of an initiation to 17 ms, and b would take a second
	// one within that for a replay, and a would try again only after 5 s.
	time.Sleep(20 * time.Millisecond)
	if err := a.dev.Down(); err != nil {
		t.Fatal(err)
	}
	if err := a.dev.Up(); err != nil {
		t.Fatal(err)
	}
	a.reach(t, b)
	before := a.Port()
	if err := a.dev.BindUpdate(); err != nil {
		t.Fatal(err)
	}
	if a.Port() != before {
		t.Errorf("port %d after reopening, was %d", a.Port(), before)
	}
	a.set(t, "listen_port=0")
	b.reach(t, a)
	a.reach(t, b)
}

// A peer that is created without an endpoint roams in spite of all: what the
// package comment says of wireguard-go.
func TestRoamingIsOffOnlyForPeersCreatedWithAnEndpoint(t *testing.T) {
	a, b := newMachine(t, "a", "10.9.0.1"), newMachine(t, "b", "10.9.0.2")
	defer a.run(t)()
	defer b.run(t)()
	defer a.dev.Close()
	defer b.dev.Close()
	a.SetPeers([]transport.Peer{b.peer(b.loopback())})
	b.SetPeers([]transport.Peer{a.peer()})
	a.add(t, b)
	raw := a.tunnel.Public().Raw()
	b.set(t, "public_key=%s\nallowed_ip=%s/32", hex.EncodeToString(raw[:]), a.ip)
	b.add(t, a)
	a.reach(t, b)
	if text, _ := b.dev.IpcGet(); strings.Contains(text, "endpoint=cordon:") {
		t.Error("a peer created without an endpoint does not roam: the advice to the plane is out of date")
	}
}
