//go:build linux

package lab_test

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cordonmesh/cordon/integration/lab"
)

// puncher is a socket that knows what a reflector told its peer, sends there,
// and answers wherever its peer's words come from. It is all that theory needs.
type puncher struct {
	conns []*net.UDPConn // one for each family that the host has
	told  []netip.AddrPort
	peer  []netip.AddrPort // learnt from what came
}

// reflectors are where [Lab.Host] hub tells who asks.
func reflectors(l *lab.Lab) []netip.AddrPort {
	hub := l.Host(lab.HubName)
	at := []netip.AddrPort{netip.AddrPortFrom(hub.Addr4(), 3478), netip.AddrPortFrom(hub.Addr6(), 3478)}
	for _, a := range at {
		hub.ReflectUDP(a)
	}
	return at
}

func newPuncher(l *lab.Lab, host string, reflectors []netip.AddrPort) *puncher {
	p := &puncher{}
	for _, at := range reflectors {
		from := netip.IPv4Unspecified()
		if at.Addr().Is6() {
			from = netip.IPv6Unspecified()
		}
		conn := l.Host(host).ListenUDP(netip.AddrPortFrom(from, 0))
		buf := make([]byte, 100)
		for range 3 {
			if _, err := conn.WriteToUDPAddrPort([]byte("who am I"), at); err != nil {
				break // the family is not there
			}
			conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if n, err := conn.Read(buf); err == nil {
				p.conns = append(p.conns, conn)
				p.told = append(p.told, netip.MustParseAddrPort(string(buf[:n])))
				break
			}
		}
	}
	return p
}

// punch sends for a while, and gives whether it heard that it is heard.
func (p *puncher) punch(told []netip.AddrPort) bool {
	heard := false
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		word := "I am here"
		if len(p.peer) > 0 {
			word = "I hear you"
		}
		for _, conn := range p.conns {
			for _, to := range append(slices.Clone(told), p.peer...) {
				conn.WriteToUDPAddrPort([]byte(word), to) // of the other family: an error
			}
			heard = p.listen(conn) || heard
		}
	}
	return heard
}

func (p *puncher) listen(conn *net.UDPConn) bool {
	buf := make([]byte, 100)
	heard := false
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return heard
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if !slices.Contains(p.peer, from) {
			p.peer = append(p.peer, from)
		}
		heard = heard || string(buf[:n]) == "I hear you"
	}
}

// meeting is two hosts that try to reach each other.
type meeting struct {
	x, y string
	want bool
}

func meetings() ([]lab.Site, []meeting) {
	var sites []lab.Site
	var all []meeting
	for i, a := range lab.Sites() {
		sites = append(sites, a.Named(a.Name+"-x"), a.Named(a.Name+"-y"))
		for _, b := range lab.Sites()[i:] {
			all = append(all, meeting{a.Name + "-x", b.Name + "-y", lab.CanBeDirect(a, b)})
		}
	}
	for _, s := range lab.SharedSites() {
		if s.Apart { // on one LAN there is nothing to punch
			sites = append(sites, s)
			all = append(all, meeting{s.NodeNames()[0], s.NodeNames()[1], lab.CanBeDirectWithin(s)})
		}
	}
	return sites, all
}

// What the table of the matrix expects is what two plain sockets can do on these
// kernels, pair by pair, many pairs at the same time.
func TestPlainSocketsReachEachOtherAsTheorySays(t *testing.T) {
	if !lab.Require(t) {
		return
	}
	sites, all := meetings()
	l := lab.Up(t, lab.Internet(sites...))
	at := reflectors(l)
	var group errgroup.Group
	group.SetLimit(40)
	for _, m := range all {
		group.Go(func() error {
			x, y := newPuncher(l, m.x, at), newPuncher(l, m.y, at)
			var heardX, heardY bool
			var both sync.WaitGroup
			both.Go(func() { heardX = x.punch(y.told) })
			both.Go(func() { heardY = y.punch(x.told) })
			both.Wait()
			if got := heardX && heardY; got != m.want {
				t.Errorf("%s and %s: direct %v, in theory %v (told %v and %v, heard %v and %v)", m.x, m.y, got, m.want, x.told, y.told, x.peer, y.peer)
			}
			return nil
		})
	}
	group.Wait()
}
