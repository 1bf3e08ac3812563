package userspace_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
	"github.com/cordonmesh/cordon/node/internal/plane/userspace"
)

const scanner planetest.Address = "10.99.0.2"

// stock is a plain wireguard-go that knows the gateway A, and nothing of a mesh.
type stock struct {
	key    key.TunnelPrivate
	device *device.Device
	tun    *planetest.TUN
	bind   *moving
}

// moving is the bind of a machine that may be at two places.
type moving struct {
	conn.Bind
	other conn.Bind
	away  atomic.Bool // it sends from the other place
}

func (m *moving) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	here, port, err := m.Bind.Open(port)
	if err != nil {
		return nil, 0, err
	}
	there, _, err := m.other.Open(port)
	return append(here, there...), port, err
}

func (m *moving) Close() error {
	m.other.Close()
	return m.Bind.Close()
}

func (m *moving) Send(bufs [][]byte, to conn.Endpoint) error {
	if m.away.Load() {
		return m.other.Send(bufs, to)
	}
	return m.Bind.Send(bufs, to)
}

func newStock(c *couple) *stock {
	c.net.Stock = []string{"x-scanner", "x-moved"}
	s := &stock{key: key.NewTunnel(), tun: planetest.NewTUN(8), bind: &moving{Bind: c.net.Bind("x-scanner"), other: c.net.Bind("x-moved")}}
	s.device = device.NewDevice(s.tun, s.bind, device.NewLogger(device.LogLevelSilent, ""))
	own, gateway := s.key.Raw(), c.keyA.Public().Raw()
	err := s.device.IpcSet(fmt.Sprintf("private_key=%x\npublic_key=%x\nendpoint=cordon:n-a\nallowed_ip=0.0.0.0/0\n", own, gateway))
	if err != nil {
		c.t.Fatal(err)
	}
	userspace.Remember(s.device, c.keyA.Public())
	synctest.Wait()
	return s
}

// front has A front the scanner, and B know of it as behind A.
func (c *couple) front(s *stock) {
	c.t.Helper()
	p := peer("stock:scanner", s.key.Public(), scanner)
	p.Stock = &plane.Stock{}
	c.cfgA.Peers = append(c.cfgA.Peers[:1:1], p)
	c.cfgB.Peers[0].Allowed = append(c.cfgB.Peers[0].Allowed[:1:1], scanner.Host())
	c.cfgB.Peers[0].Prefixes = append(c.cfgB.Peers[0].Prefixes[:1:1], acl.PrefixClass{Prefix: scanner.Host(), Class: 1})
	c.permit(53)
}

func (c *couple) stockArrive(what string, s *stock, want ...[]byte) {
	c.t.Helper()
	c.arrive(what, keeping{tun: s.tun}, want...)
}

// told asks that the stock peer's machine got so many ICMP errors, and nothing else.
func (s *stock) told(t *testing.T, want int) {
	t.Helper()
	got := s.tun.Drain()
	if len(got) != want || slices.ContainsFunc(got, func(p []byte) bool { return p[9] != byte(acl.ICMP) || p[20] != 3 }) {
		t.Errorf("it got %x, want %d ICMP errors", got, want)
	}
}

// fronted plays with a scanner that A fronts, in virtual time.
func fronted(t *testing.T, play func(*testing.T, *couple, *stock)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		s := newStock(c)
		defer s.device.Close()
		c.front(s)
		play(t, c, s)
	})
}

// A stock peer speaks with its gateway and, through it, with others, either of
// them first, and only as the rules say.
func TestStockPeerIsFronted(t *testing.T) {
	fronted(t, func(t *testing.T, c *couple, s *stock) {
		toA, toB := planetest.UDP(scanner, planetest.A4, 5000, 53), planetest.UDP(scanner, planetest.B4, 5000, 53)
		s.tun.Send(planetest.UDP(scanner, planetest.A4, 5000, 54), toA, planetest.UDP(scanner, planetest.B4, 5000, 54), toB, planetest.UDP(planetest.B4, planetest.A4, 1, 53))
		c.arrive("to the gateway", c.a, toA)
		c.arrive("to a node", c.b, toB)
		s.told(t, 2) // of the two that no rule opens
		fromA, fromB := planetest.UDP(planetest.A4, scanner, 53, 5000), planetest.UDP(planetest.B4, scanner, 53, 5000)
		c.a.tun.Send(fromA)
		c.b.tun.Send(fromB)
		c.stockArrive("answers", s, fromA, fromB)
		first := planetest.UDP(planetest.B4, scanner, 6000, 53)
		c.b.tun.Send(planetest.UDP(planetest.B4, scanner, 6000, 54), first)
		c.stockArrive("a node begins", s, first)
		c.b.tun.Drain() // of what it was refused it hears as from any gateway
		st, err := c.a.Stats()
		if err != nil || len(st.Peers) != 2 {
			t.Errorf("%+v, %v", st.Peers, err)
		}

		t.Log("a refusal is told")
		s.tun.Send(planetest.TCP(scanner, planetest.B4, 5000, 443, planetest.SYN))
		synctest.Wait()
		if got := s.tun.Drain(); len(got) != 1 || got[0][33]&planetest.RST == 0 {
			t.Errorf("got %x, want a reset", got)
		}

		t.Log("nobody speaks for it but its tunnel")
		c.a.tun.Send(planetest.UDP(scanner, planetest.B4, 5000, 53))
		c.arrive("spoofed by the gateway's machine", c.b)
	})
}

// It roams, and is kept, in the hours in which a node's tunnel is given up.
func TestStockPeerRoamsAndStays(t *testing.T) {
	fronted(t, func(t *testing.T, c *couple, s *stock) {
		there, back := planetest.UDP(scanner, planetest.B4, 5000, 53), planetest.UDP(planetest.B4, scanner, 53, 5000)
		for i := range 4 {
			s.bind.away.Store(i%2 == 1)
			s.tun.Send(there)
			c.arrive(fmt.Sprint("time ", i), c.b, there)
			c.b.tun.Send(back)
			c.stockArrive(fmt.Sprint("back, time ", i), s, back)
			if i == 1 {
				time.Sleep(time.Hour)
			}
		}
		time.Sleep(time.Hour)
		c.tunnels("after an hour of silence", c.a, 1)
		c.a.tun.Send(planetest.UDP(planetest.A4, scanner, 5000, 53))
		c.stockArrive("the gateway begins", s, planetest.UDP(planetest.A4, scanner, 5000, 53))
	})
}

// Whatever takes its right away ends what is under way.
func TestStockPeerLosesItsFlows(t *testing.T) {
	fronted(t, func(t *testing.T, c *couple, s *stock) {
		there, back := planetest.UDP(scanner, planetest.B4, 5000, 53), planetest.UDP(planetest.B4, scanner, 53, 5000)
		flows := func(want bool) {
			t.Helper()
			s.tun.Send(there)
			c.b.tun.Send(back)
			synctest.Wait()
			if got := len(s.tun.Drain()) + len(c.b.tun.Drain()); want && got != 2 || !want && got != 0 {
				t.Errorf("%d packets passed; want both: %t", got, want)
			}
		}
		flows(true)
		rules := c.cfgA.Rules
		c.cfgA.Rules = openUDP(54)
		c.configure(c.a, &c.cfgA) // B, whose rules stay, hears no answer to UDP in this test
		s.tun.Send(there)
		c.b.tun.Send(back)
		synctest.Wait()
		if got := c.b.tun.Drain(); slices.ContainsFunc(got, func(p []byte) bool { return string(p) == string(there) }) {
			t.Error("a packet passed after its rule had gone")
		}
		if got := s.tun.Drain(); slices.ContainsFunc(got, func(p []byte) bool { return string(p) == string(back) }) {
			t.Error("a packet came after its rule had gone")
		}
		c.cfgA.Rules = rules
		c.configure(c.a, &c.cfgA)
		flows(true)
		all := c.cfgA.Peers
		c.cfgA.Peers = all[:1]
		c.configure(c.a, &c.cfgA)
		s.tun.Send(there)
		synctest.Wait()
		if got := c.b.tun.Drain(); len(got) != 0 {
			t.Errorf("% x came from a stock peer that was taken away", got)
		}
		c.tunnels("without it", c.a, 1)
	})
}

// Whose key is in nobody's file gets no answer at all.
func TestStrangersKeyIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		s := newStock(c)
		defer s.device.Close()
		s.tun.Send(planetest.UDP(scanner, planetest.A4, 5000, 53))
		time.Sleep(time.Minute)
		c.arrive("from a stranger", c.a)
		if n := c.net.SentTo("x-scanner"); n != 0 {
			t.Errorf("a stranger was sent %d datagrams", n)
		}
		c.front(s)
		s.tun.Send(planetest.UDP(scanner, planetest.A4, 5000, 53))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := c.a.tun.Drain(); len(got) == 0 {
			t.Error("nothing came from the one that is now in the file")
		}
	})
}

// What a listening program of a stock peer's lost is told to it.
func TestStockPeerThatOnlyListensIsTold(t *testing.T) {
	fronted(t, func(t *testing.T, c *couple, s *stock) {
		rules := []acl.Rule{{ID: "r", Src: []acl.Class{1}, Dst: []acl.Class{1}, Open: []acl.Service{{Protocol: acl.TCP, First: 80, Last: 80}}}}
		c.cfgA.Rules, c.cfgB.Rules = acl.RuleSet{In: rules, Out: rules}, acl.RuleSet{In: rules, Out: rules}
		c.configure(c.a, &c.cfgA)
		c.configure(c.b, &c.cfgB)
		s.tun.Send(planetest.TCP(scanner, planetest.B4, 5000, 80, planetest.SYN))
		synctest.Wait()
		c.b.tun.Send(planetest.TCP(planetest.B4, scanner, 80, 5000, planetest.SYN|planetest.ACK))
		synctest.Wait()
		if len(s.tun.Drain()) != 1 {
			t.Fatal("there is no connection")
		}
		c.cfgA.Rules = acl.RuleSet{}
		c.configure(c.a, &c.cfgA)
		synctest.Wait()
		if got := s.tun.Drain(); len(got) != 1 || string(got[0][12:16]) != string(planetest.B4.IP().AsSlice()) {
			t.Errorf("it got %x, want what makes it speak", got)
		}
	})
}

// What a stock peer sent to a node that must first be found is judged again by the
// rules of the moment when it goes on.
func TestStockPeersPacketsWaitForAPath(t *testing.T) {
	fronted(t, func(t *testing.T, c *couple, s *stock) {
		c.permit(53, 54)
		c.ways.lead(false)
		there, other := planetest.UDP(scanner, planetest.B4, 5000, 53), planetest.UDP(scanner, planetest.B4, 5000, 54)
		s.tun.Send(there, other)
		c.arrive("without a path", c.b)
		c.cfgA.Rules = openUDP(53)
		c.configure(c.a, &c.cfgA)
		c.ways.lead(true)
		c.a.Found("n-b")
		c.arrive("with one", c.b, there)
	})
}
