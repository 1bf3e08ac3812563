package integration

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/integration/lab"
)

// annex is two networks with a gateway between them: the hospital's, where the
// coordinator and nina's machine are, and one of devices without an agent.
func annex() lab.Topology {
	link := func(network, n int) lab.Link {
		return lab.Link{Network: fmt.Sprint("net", network), Addresses: []string{fmt.Sprintf("10.%d.0.%d/24", network, n), fmt.Sprintf("fd%d::%x/64", network, n)}}
	}
	back := []lab.Route{{To: "100.64.0.0/10", Via: "10.88.0.1"}, {To: "10.77.0.0/24", Via: "10.88.0.1"}, {To: "fc00::/7", Via: "fd88::1"}}
	return lab.Topology{
		Networks: []lab.Network{{Name: "net77"}, {Name: "net88"}},
		Machines: []lab.Machine{
			{Name: "hub", Links: []lab.Link{link(77, 1)}},
			{Name: "desk", Links: []lab.Link{link(77, 2)}},
			{Name: "gateway", Links: []lab.Link{link(77, 3), link(88, 1)}},
			{Name: "pump", Links: []lab.Link{link(88, 4)}, Routes: back},
		},
	}
}

const annexPolicy = `{
	"tagOwners": {"tag:gw": ["nina@hospital.example"]},
	"autoApprovers": {"routes": {"10.88.0.0/24": ["tag:gw"], "10.77.0.0/24": ["tag:gw"], "fd88::/64": ["tag:gw"]}},
	"grants": [{"id": "devices", "src": ["nina@hospital.example"], "dst": ["10.88.0.0/24", "fd88::/64"%s], "ip": ["udp:5000", "tcp:443"]},
		{"id": "log", "src": ["tag:gw"], "dst": ["nina@hospital.example"], "ip": ["udp:5000"]}]}`

func raiseAnnex(t *testing.T) *scene {
	return raiseOn(t, annex(), fmt.Sprintf(annexPolicy, ""), member{name: "desk", owner: "nina@hospital.example"},
		member{name: "gateway", owner: "tag:gw", args: []string{"--advertise", "10.88.0.0/24", "--advertise", "fd88::/64", "--advertise", "10.77.0.0/24"}})
}

// A rule about a network behind a gateway opens the devices there, and nothing
// of the gateway: neither by its address, nor by the network's broadcast address
// or its anycast one, which the gateway's kernel takes too. Only the gateway knows
// which addresses those are, so it is the gateway that tells the sender, at once.
func TestGatewayIsNotWhatIsBehindIt_A27(t *testing.T) {
	s := raiseAnnex(t)
	if s == nil {
		return
	}
	s.serve("pump", 5000, 443)
	heard := s.listenAll("gateway", 5000)
	for _, to := range []string{"10.88.0.4", "fd88::4"} {
		s.served("desk", "udp", netip.AddrPortFrom(netip.MustParseAddr(to), 5000))
		s.served("desk", "tcp", netip.AddrPortFrom(netip.MustParseAddr(to), 443))
	}
	for _, to := range []string{"10.88.0.1", "10.88.0.255", "10.88.0.0", "10.77.0.3", "fd88::1", "fd88::"} {
		for range 3 {
			s.shout("desk", netip.AddrPortFrom(netip.MustParseAddr(to), 5000))
		}
	}
	for still := time.After(quiet); ; {
		select {
		case from := <-heard:
			if !strings.Contains(from, " from 10.77.0.2:") { // in the network that both are in, as its own machine there
				t.Errorf("a service of the gateway heard %s", from)
			}
			continue
		case <-still:
		}
		break
	}
	time.Sleep(time.Second) // the gateway answers a peer ten times in a second
	for _, to := range []string{"10.88.0.1", "fd88::1"} {
		s.refused("desk", "tcp", netip.AddrPortFrom(netip.MustParseAddr(to), 443), syscall.ECONNREFUSED)
		s.refused("desk", "udp", netip.AddrPortFrom(netip.MustParseAddr(to), 5000), syscall.EHOSTUNREACH, syscall.EACCES)
	}
}

// A route that covers the coordinator cuts nobody off from it: who approved it by
// mistake could else never take it back.
func TestRouteOverTheCoordinatorCutsNobodyOff_A29(t *testing.T) {
	s := raiseAnnex(t)
	if s == nil {
		return
	}
	s.serve("pump", 443)
	s.served("desk", "tcp", netip.MustParseAddrPort("10.88.0.4:443"))
	s.setPolicy(fmt.Sprintf(annexPolicy, `, "10.77.0.0/24"`))
	lab.Eventually(t, patience, "the desk has a route over the coordinator", func() (bool, string) {
		st, err := s.nodes["desk"].Status()
		if err != nil {
			return false, err.Error()
		}
		p, _ := lab.FindPeer(st, "gateway")
		return len(p.Routes) == 3, fmt.Sprint(p.Routes)
	})
	for range 3 { // each must reach a desk whose every connection is new
		s.coordinator.Process.Kill()
		s.coordinator.Start()
		s.settle()
	}
	s.setPolicy(fmt.Sprintf(annexPolicy, ""))
	if r, err := s.admin.Status(t.Context(), connect.NewRequest(&admin.StatusRequest{})); err != nil || r.Msg.Connected != 2 {
		t.Errorf("%v, %v", r, err)
	}
}

// listenAll tells of every datagram that a host takes at a port, however it was
// addressed.
func (s *scene) listenAll(host string, port uint16) <-chan string {
	s.t.Helper()
	heard := make(chan string, 100)
	var conn net.PacketConn
	err := s.Host(host).Do(func() (err error) {
		conn, err = net.ListenPacket("udp", netip.AddrPortFrom(netip.IPv6Unspecified(), port).String())
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			heard <- fmt.Sprintf("%q from %s", buf[:n], from)
		}
	}()
	s.t.Cleanup(func() { conn.Close(); <-done })
	return heard
}

// shout sends a datagram and waits for nothing.
func (s *scene) shout(host string, to netip.AddrPort) {
	s.t.Helper()
	conn, err := s.Host(host).Dial(context.Background(), "udp", to)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(host + " to " + to.String())) // an earlier refusal may be told here
}

// A28: a device behind a gateway does not speak as the gateway, whose address no
// other machine has; and the gateway, which now forwards, does not join the two
// networks that it is in.
func TestDeviceIsNotItsGatewayNorRoutedElsewhere_A28(t *testing.T) {
	s := raiseAnnex(t)
	if s == nil {
		return
	}
	s.serve("pump", 443)
	s.served("desk", "tcp", netip.MustParseAddrPort("10.88.0.4:443")) // the gateway forwards
	desk, hub := s.listenAll("desk", 5000), s.listenAll("hub", 5000)
	for i, to := range s.at("desk", 5000) {
		s.shoutUntil("gateway", to, desk) // what the gateway itself says is permitted
		own, via := s.at("gateway", 0)[i].Addr(), []string{"10.88.0.1", "fd88::1"}[i]
		bits, pump := fmt.Sprint("/", own.BitLen()), s.Host("pump")
		pump.MustRun("ip", "addr", "add", own.String()+bits, "dev", "eth0", "nodad")
		pump.MustRun("ip", "route", "replace", to.Addr().String()+bits, "via", via, "src", own.String())
		for range 3 {
			s.shout("pump", to)
		}
		pump.MustRun("ip", "addr", "del", own.String()+bits, "dev", "eth0")
	}
	for range 3 {
		s.shout("pump", netip.MustParseAddrPort("10.77.0.1:5000"))
		s.shout("pump", netip.MustParseAddrPort("[fd77::1]:5000"))
	}
	for end := time.After(quiet); ; {
		select {
		case said := <-desk:
			if strings.HasPrefix(said, `"pump`) { // the gateway's own may come late
				t.Errorf("a device spoke as its gateway: %s", said)
			}
		case said := <-hub:
			t.Errorf("the gateway routes for its devices: %s", said)
		case <-end:
			return
		}
	}
}

// shoutUntil sends until a datagram arrived.
func (s *scene) shoutUntil(host string, to netip.AddrPort, heard <-chan string) {
	s.t.Helper()
	lab.Eventually(s.t, patience, host+" is heard at "+to.String(), func() (bool, string) {
		s.shout(host, to)
		select {
		case <-heard:
			return true, ""
		case <-time.After(quiet):
			return false, "nothing came"
		}
	})
}
