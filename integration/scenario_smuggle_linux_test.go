package integration

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/integration/lab"
)

// A26: a rule for TCP/443 opens nothing else, however it is dressed. Each is
// followed by a packet that may pass, so that nothing has to be waited for.
func TestNoOtherProtocolPassesAsAnOpenOne_A26(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	n := 0
	for i, to := range s.at("ehr", 0) {
		from := s.at("ward", 0)[i].Addr()
		s.answered("ward", to.Addr())
		t.Run(family(from), func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(smuggled(from, to.Addr()))) {
				n++
				s.crossed(t, name, smuggled(from, to.Addr())[name], sentinel(from, to.Addr(), n), n, 0)
			}
			// The other side of the test: what is open passes, dressed or cut.
			open := lab.UDP(netip.AddrPortFrom(from, 4001), netip.AddrPortFrom(to.Addr(), 5000), bytes.Repeat([]byte("open"), 40))
			n++
			s.crossed(t, "an open packet", []lab.IP{open}, sentinel(from, to.Addr(), n), n, 1)
			open.ID = 77
			n++
			s.crossed(t, "an open packet in fragments", open.Fragments(64), sentinel(from, to.Addr(), n), n, 3)
			if from.Is6() {
				open.Extensions = []lab.Extension{{Number: 60, Body: []byte{1, 4, 0, 0, 0, 0}}}
				n++
				s.crossed(t, "an open packet behind options", []lab.IP{open}, sentinel(from, to.Addr(), n), n, 1)
			}
		})
	}
}

// crossed sends packets and a sentinel from ward's programs, and counts what
// comes out at ehr's before the sentinel does.
func (s *scene) crossed(t *testing.T, name string, packets []lab.IP, end lab.IP, n, want int) {
	t.Helper()
	seen := s.Host("ehr").Capture(tun, lab.Touching(netip.PrefixFrom(end.Src, end.Src.BitLen())))
	s.Host("ward").Inject(tun, netip.Addr{}, append(packets, end)...)
	s.counted(t, name, seen, end.Src, n, want)
}

// counted waits for the sentinel in a capture, and counts what src sent before.
func (s *scene) counted(t *testing.T, name string, seen *lab.Capture, src netip.Addr, n, want int) {
	t.Helper()
	mark := []byte(sentinelText(n))
	var all [][]byte
	lab.Eventually(t, patience, name+": the sentinel arrives", func() (bool, string) {
		all = seen.Packets()
		return slices.ContainsFunc(all, func(p []byte) bool { return bytes.Contains(p, mark) && sourceOf(p) == src }), "it does not"
	})
	if _, err := seen.Stop(); err != nil {
		t.Error(err)
	}
	got := 0
	for _, p := range all {
		if sourceOf(p) == src && !bytes.Contains(p, mark) {
			got++
		}
	}
	if got != want {
		t.Errorf("%s: %d packets crossed, want %d: % x", name, got, want, all)
	}
}

// sourceOf reads a packet's outer source.
func sourceOf(packet []byte) netip.Addr {
	at, size := 12, 4
	if packet[0]>>4 == 6 {
		at, size = 8, 16
	}
	if len(packet) < at+size {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(packet[at : at+size])
	return a
}
