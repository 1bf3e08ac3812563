package integration

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
)

// open waits until the rogue's tunnel carries what is permitted: without that,
// silence would prove nothing.
func (s *scene) open(t *testing.T, r *rogue, victim string, permitted lab.IP) {
	t.Helper()
	seen := s.Host(victim).Capture(tun, lab.Touching(netip.PrefixFrom(permitted.Src, permitted.Src.BitLen())))
	defer seen.Stop()
	r.knock(t)
	lab.Eventually(t, patience, "a rogue's permitted packet arrives", func() (bool, string) {
		r.send(permitted)
		return seen.Count() > 0, "it does not"
	})
}

// The receiver protects itself: a peer without any filter, with the right keys,
// gets through no more than the policy opens (A26), and in nobody's name (A25).
func TestReceiverAloneRefusesASenderWithoutFilter_A25_A26(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"}, member{name: "desk", owner: "nina@hospital.example"})
	if s == nil {
		return
	}
	own, to, desk := s.at("ward", 0), s.at("ehr", 0), s.at("desk", 0)
	r := s.replace(t, "ward", "ehr")
	n := 1
	s.open(t, r, "ehr", sentinel(own[0].Addr(), to[0].Addr(), 0))
	for i := range own {
		from, dst := own[i].Addr(), to[i].Addr()
		check := func(name string, packets []lab.IP, want int) {
			n++
			s.arrivals(t, r.send, "ehr", name, packets, sentinel(from, dst, n), n, want)
		}
		t.Run("another protocol over "+family(from), func(t *testing.T) {
			all := smuggled(from, dst)
			for _, name := range slices.Sorted(maps.Keys(all)) {
				check(name, all[name], 0)
			}
			check("a permitted packet", []lab.IP{lab.UDP(netip.AddrPortFrom(from, 7), netip.AddrPortFrom(dst, 5000), []byte("open"))}, 1)
		})
		t.Run("in another's name over "+family(from), func(t *testing.T) {
			for _, src := range append(strangers(from), desk[i].Addr(), dst, last(from)) {
				check("from "+src.String(), []lab.IP{lab.UDP(netip.AddrPortFrom(src, 7), netip.AddrPortFrom(dst, 5000), []byte("spoofed"))}, 0)
			}
		})
		t.Run("to another's address over "+family(from), func(t *testing.T) {
			for _, at := range append(strangers(from), desk[i].Addr(), s.Host("ehr").Addr4(), s.Host("ehr").Addr6()) {
				if at.Is4() == from.Is4() {
					check("to "+at.String(), []lab.IP{lab.UDP(netip.AddrPortFrom(from, 7), netip.AddrPortFrom(at, 5000), []byte("misled"))}, 0)
				}
			}
		})
	}
}

// Who may open nothing does not get in from the middle of connections that the receiver
// might have opened, and so learns not what listens there. It has just met the rogue, and
// knows that there is no such connection.
func TestReceiverAloneRefusesTheMiddleOfNothing_A26(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	rogues, wards := s.at("ehr", 443), s.at("ward", 0)
	r := s.replace(t, "ehr", "ward")
	for i, from := range rogues {
		ward := wards[i].Addr()
		var made []lab.IP
		for _, flags := range []uint8{lab.ACK, lab.SYN | lab.ACK, lab.FIN, lab.RST, 0} {
			made = append(made, lab.TCP(from, netip.AddrPortFrom(ward, 22), flags, 1, 1, nil))
		}
		// What ward has asked for is answered, behind what it has not.
		ask := lab.UDP(netip.AddrPortFrom(ward, 4999), netip.AddrPortFrom(from.Addr(), 5000), []byte("asked"))
		answer := lab.UDP(netip.AddrPortFrom(from.Addr(), 5000), netip.AddrPortFrom(ward, 4999), []byte("answered"))
		seen := s.Host("ward").Capture(tun, lab.Touching(netip.PrefixFrom(from.Addr(), from.Addr().BitLen())))
		r.knock(t)
		lab.Eventually(t, patience, "ward's question is answered", func() (bool, string) {
			s.apps("ward")(ask)
			r.send(append(made, answer)...)
			return slices.ContainsFunc(seen.Packets(), func(p []byte) bool { return bytes.Contains(p, []byte("answered")) }), "it is not"
		})
		all, err := seen.Stop()
		if err != nil {
			t.Error(err)
		}
		for _, p := range all {
			if bytes.Contains(p, made[0].Payload[:4]) && sourceOf(p) == from.Addr() {
				t.Errorf("a segment from the middle of nothing arrived: % x", p)
			}
		}
	}
}

// A27: a gateway hands nothing on but what it was approved for, and keeps what
// is its own, whatever a peer without filter sends it.
func TestGatewayAloneRefusesASenderWithoutFilter_A27(t *testing.T) {
	s := raiseWing(t)
	if s == nil {
		return
	}
	s.approve()
	own := s.at("ward", 0)
	r := s.replace(t, "ward", "gw")
	open := func(from netip.Addr, n int) lab.IP {
		to := ap("10.20.0.9:5000")
		if from.Is6() {
			to = ap("[fd20::9]:5000")
		}
		return lab.UDP(netip.AddrPortFrom(from, 4999), to, []byte(sentinelText(n)))
	}
	s.open(t, r, "gw", open(own[0].Addr(), 0))
	n := 1
	for i, from := range own {
		t.Run(family(from.Addr()), func(t *testing.T) {
			refused := append(strangers(from.Addr()), s.at("gw", 0)[i].Addr(), s.at("ehr", 0)[i].Addr())
			for _, text := range []string{"10.20.0.1", "10.30.0.9", "10.77.0.4", "10.77.0.1", "10.20.0.255", "fd20::1", "fd77::4", "fd77::1", "::ffff:10.20.0.9", "64:ff9b::a14:9"} {
				if a := netip.MustParseAddr(text); a.Is4() == from.Addr().Is4() {
					refused = append(refused, a)
				}
			}
			for _, to := range refused {
				if to == ap("10.20.0.9:80").Addr() || to == ap("[fd20::9]:80").Addr() {
					continue // the pump itself
				}
				n++
				packets := []lab.IP{lab.UDP(netip.AddrPortFrom(from.Addr(), 7), netip.AddrPortFrom(to, 80), []byte("misled"))}
				s.arrivals(t, r.send, "gw", "to "+to.String(), packets, open(from.Addr(), n), n, 0)
			}
		})
	}
}
