package userspace_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
	"github.com/cordonmesh/cordon/node/internal/plane"
	"github.com/cordonmesh/cordon/node/internal/plane/planetest"
)

// open lets the two planes say anything to each other, in both families.
func (c *couple) open() {
	host := func(a planetest.Address) acl.PrefixClass { return acl.PrefixClass{Prefix: a.Host(), Class: 1} }
	both := func(four, six planetest.Address) []acl.PrefixClass { return []acl.PrefixClass{host(four), host(six)} }
	a, b := both(planetest.A4, planetest.A6), both(planetest.B4, planetest.B6)
	rules := []acl.Rule{{ID: "r", Src: []acl.Class{1}, Dst: []acl.Class{1}, Open: []acl.Service{
		{Protocol: acl.TCP, First: 1, Last: 65535}, {Protocol: acl.UDP, First: 1, Last: 65535}}}}
	set := func(p keeping, cfg *plane.Config, self, other []acl.PrefixClass) {
		cfg.Rules = acl.RuleSet{In: rules, Out: rules}
		cfg.Self.Prefixes, cfg.Peers[0].Prefixes = self, other
		cfg.Peers[0].Allowed = []netip.Prefix{other[0].Prefix, other[1].Prefix}
		c.configure(p, cfg)
	}
	set(c.a, &c.cfgA, a, b)
	set(c.b, &c.cfgB, b, a)
}

// syn is a SYN that offers segments of 1,460 bytes. Its checksum is nobody's matter
// here.
func syn(src, dst planetest.Address) []byte {
	t := slices.Concat(packettest.TCP(40000, 443, 2, 1, 0, 0), []byte{2, 4, 1460 >> 8, 1460 & 0xff})
	t[12] = 6 << 4
	return packettest.IP(string(src), string(dst), 6, t)
}

// offered gives the segment size in a SYN.
func offered(t *testing.T, packets [][]byte) int {
	t.Helper()
	if len(packets) != 1 {
		t.Fatalf("%d packets came, want the SYN alone", len(packets))
	}
	return int(binary.BigEndian.Uint16(packets[0][len(packets[0])-2:]))
}

func TestStreamsAreFittedToThePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.open()
		for _, step := range []struct {
			atA, atB  int // what is known of the path
			four, six int // bytes of a segment
		}{{0, 0, 1460, 1140}, {1232, 0, 1192, 1140}, {1300, 1216, 1176, 1156}, {1400, 1400, 1360, 1340}} {
			c.a.Resized("n-b", step.atA)
			c.b.Resized("n-a", step.atB)
			c.a.Resized("n-nobody", 1)
			for _, f := range []struct {
				src, dst planetest.Address
				want     int
			}{{planetest.A4, planetest.B4, step.four}, {planetest.A6, planetest.B6, step.six}} {
				c.a.tun.Send(syn(f.src, f.dst))
				synctest.Wait()
				if got := offered(t, c.b.tun.Drain()); got != f.want {
					t.Errorf("%d bytes pass one way and %d the other, from %s: segments of %d, want %d", step.atA, step.atB, f.src, got, f.want)
				}
			}
		}
	})
}

func TestWhatDoesNotFitIsAnsweredOrGoesInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t)
		defer c.end()
		c.open()
		c.a.Resized("n-b", 1216)
		long := packettest.IP(string(planetest.A4), string(planetest.B4), 17, packettest.UDP(1, 2, 1200))
		whole := slices.Clone(long)
		whole[6] |= 0x40
		fits := packettest.IP(string(planetest.A4), string(planetest.B4), 17, packettest.UDP(1, 2, 1188))
		fits[6] |= 0x40
		six := packettest.IP(string(planetest.A6), string(planetest.B6), 17, packettest.UDP(1, 2, 1200))
		c.a.tun.Send(whole, long, six, fits)
		c.arrive("what may go in pieces, or fits", c.b, long, six, fits)
		told := c.a.tun.Drain()
		if len(told) != 1 || told[0][20] != 3 || told[0][21] != 4 || binary.BigEndian.Uint16(told[0][26:]) != 1216 {
			t.Errorf("the sender was told % x", told)
		}
		c.a.Resized("n-b", 0)
		c.a.tun.Send(whole)
		c.arrive("while nothing is known", c.b, whole)
	})
}
