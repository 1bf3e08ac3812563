//go:build linux

package lab_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

const (
	onePort   = 4001
	otherPort = 4002
)

// surveyor finds out what lies between a host and the internet, with one socket
// inside and reflectors at two public addresses.
type surveyor struct {
	t        *testing.T
	l        *lab.Lab
	inside   *net.UDPConn
	outside  map[netip.AddrPort]*net.UDPConn // sockets of the hub and the landmark
	hub, far netip.Addr
}

func survey(t *testing.T, l *lab.Lab, host string) *surveyor {
	t.Helper()
	s := &surveyor{t: t, l: l, outside: map[netip.AddrPort]*net.UDPConn{}}
	s.inside = l.Host(host).ListenUDP(netip.MustParseAddrPort("0.0.0.0:0"))
	s.hub, s.far = l.Host(lab.HubName).Addr4(), l.Host(lab.MarkName).Addr4()
	return s
}

// open makes a socket outside that speaks when it is told.
func (s *surveyor) open(host string, port uint16) *net.UDPConn {
	s.t.Helper()
	return s.l.Host(host).ListenUDP(netip.AddrPortFrom(s.l.Host(host).Addr4(), port))
}

// mapped is the address by which somebody outside, who notes it, knows the
// socket inside.
func (s *surveyor) mapped(outside *net.UDPConn) netip.AddrPort {
	s.t.Helper()
	to := outside.LocalAddr().(*net.UDPAddr).AddrPort()
	buf := make([]byte, 100)
	for range 20 { // ARP on a busy machine
		s.inside.WriteToUDPAddrPort([]byte("hello"), to)
		outside.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, from, err := outside.ReadFromUDPAddrPort(buf); err == nil {
			return from
		}
	}
	s.t.Fatalf("%s hears nothing of the host inside", to)
	return netip.AddrPort{}
}

// passes tells whether what a stranger sends comes in: by the time that the
// one who was spoken to is heard, the stranger would have been.
func (s *surveyor) passes(stranger, known *net.UDPConn, to netip.AddrPort) bool {
	s.t.Helper()
	word := stranger.LocalAddr().String()
	for range 3 {
		stranger.WriteToUDPAddrPort([]byte(word), to)
	}
	time.Sleep(50 * time.Millisecond) // the ways differ: a later packet may overtake
	known.WriteToUDPAddrPort([]byte("known"), to)
	buf := make([]byte, 100)
	s.inside.SetReadDeadline(time.Now().Add(10 * time.Second))
	came := false
	for {
		n, err := s.inside.Read(buf)
		if err != nil {
			s.t.Fatalf("the one who was spoken to does not come in at %s: %v", to, err)
		}
		if string(buf[:n]) == "known" {
			return came
		}
		came = came || string(buf[:n]) == word
	}
}

// Each kind of NAT does what it says, on this kernel, in the terms of RFC 4787.
func TestKindsOfNATAreWhatTheySay(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	var sites []lab.Site
	for _, s := range lab.Sites() {
		if len(s.NATs) == 1 && s.Wall == lab.Outbound {
			sites = append(sites, s)
		}
	}
	l := lab.Up(t, lab.Internet(sites...))
	for i, site := range sites {
		t.Run(site.Name, func(t *testing.T) {
			port := uint16(onePort + 10*i)
			s := survey(t, l, site.Name)
			near, nearOther := s.open(lab.HubName, port), s.open(lab.HubName, port+1)
			far := s.open(lab.MarkName, port)
			nat := site.NATs[0]
			first := s.mapped(near)
			// Strangers first: to ask them for a mapping is to speak to them.
			filtering := lab.AddressAndPortDependent
			if s.passes(nearOther, near, first) {
				filtering = lab.AddressDependent
			}
			if s.passes(far, near, first) {
				filtering = lab.EndpointIndependent
			}
			mapping := lab.EndpointIndependent
			if s.mapped(far) != first {
				mapping = lab.AddressDependent
			}
			if s.mapped(nearOther) != first {
				mapping = lab.AddressAndPortDependent
			}
			inner := s.inside.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			if mapping != nat.Mapping || filtering != nat.Filtering || (first.Port() == inner) != nat.KeepsPort {
				t.Errorf("%s maps %s, filters %s, port %d became %d; it says %s, %s, keeps ports: %v",
					nat.Name, mapping, filtering, inner, first.Port(), nat.Mapping, nat.Filtering, nat.KeepsPort)
			}
			if first.Addr() != l.Host(site.Name+"-r").OuterAddr4() {
				t.Errorf("seen from outside as %s, want its router's outer address", first)
			}
		})
	}
}

// hears tells whether a datagram from one socket reaches another.
func hears(t *testing.T, from, to *net.UDPConn, at netip.AddrPort) bool {
	t.Helper()
	buf := make([]byte, 100)
	for range 3 {
		from.WriteToUDPAddrPort([]byte("are you there"), at)
	}
	to.SetReadDeadline(time.Now().Add(time.Second))
	_, err := to.Read(buf)
	return err == nil
}

func TestHairpinAndLifeOfMappings(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	var sites []lab.Site
	for _, name := range []string{"hairpin", "no-hairpin", "short-lived", "home"} {
		s, ok := lab.FindSite(name)
		if !ok {
			t.Fatal(name)
		}
		sites = append(sites, s)
	}
	l := lab.Up(t, lab.Internet(sites...))
	for _, name := range []string{"hairpin", "no-hairpin"} {
		a, b := survey(t, l, name+"-1"), survey(t, l, name+"-2")
		mark := a.open(lab.HubName, map[string]uint16{"hairpin": onePort, "no-hairpin": otherPort}[name])
		atA, atB := a.mapped(mark), b.mapped(mark)
		if atA.Addr() != atB.Addr() || atA.Addr() != l.Host(name+"-r1").OuterAddr4() {
			t.Fatalf("%s: homes are seen as %s and %s, want one carrier's address", name, atA, atB)
		}
		hears(t, a.inside, b.inside, atB) // opens the way back through the home router
		if got, want := hears(t, b.inside, a.inside, atA), name == "hairpin"; got != want {
			t.Errorf("%s: a home hears its neighbour by outer addresses: %v", name, got)
		}
	}
	for name, want := range map[string]bool{"short-lived": false, "home": true} {
		s := survey(t, l, name)
		mark := s.open(lab.MarkName, map[string]uint16{"short-lived": onePort, "home": otherPort}[name])
		at := s.mapped(mark)
		lab.Eventually(t, 20*time.Second, "the flow of a short-lived mapping ends", func() (bool, string) {
			if want {
				return true, ""
			}
			flows, err := l.Host(name+"-r").Run(t.Context(), "cat", "/proc/net/nf_conntrack")
			return err == nil && flows == "", fmt.Sprint(flows, err)
		})
		if got := hears(t, mark, s.inside, at); got != want {
			t.Errorf("%s: after its time a mapping lets in: %v", name, got)
		}
	}
}
