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
func TestNoOtherProtocolPassesAsAnOpenOne_A25_A26(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	n := 0
	for i, to := range s.at("ehr", 0) {
		from := s.at("ward", 0)[i].Addr()
		s.answered("ward", to.Addr())
		crossed := func(name string, packets []lab.IP, want int) {
			t.Helper()
			n++
			s.arrivals(t, s.apps("ward"), "ehr", name, packets, sentinel(from, to.Addr(), n), n, want)
		}
		t.Run(family(from), func(t *testing.T) {
			for _, name := range slices.Sorted(maps.Keys(smuggled(from, to.Addr()))) {
				crossed(name, smuggled(from, to.Addr())[name], 0)
			}
			// The other side of the test: what is open passes, dressed or cut.
			open := lab.UDP(netip.AddrPortFrom(from, 4001), netip.AddrPortFrom(to.Addr(), 5000), bytes.Repeat([]byte("open"), 40))
			crossed("an open packet", []lab.IP{open}, 1)
			open.ID = 77
			crossed("an open packet in fragments", open.Fragments(64), 3)
			if from.Is6() {
				open.Extensions = []lab.Extension{{Number: 60, Body: []byte{1, 4, 0, 0, 0, 0}}}
				crossed("an open packet behind options", []lab.IP{open}, 1)
			}
			// A25: nor in the name of another.
			for _, src := range append(strangers(from), last(from)) {
				crossed("from "+src.String(), []lab.IP{lab.UDP(netip.AddrPortFrom(src, 7), netip.AddrPortFrom(to.Addr(), 5000), []byte("spoofed"))}, 0)
			}
		})
	}
}
