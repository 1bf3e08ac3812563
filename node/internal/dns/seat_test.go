package dns_test

import (
	"net/netip"
	"testing"

	miekg "github.com/miekg/dns"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/dns"
)

// The address of who sits at a machine is known in logs as a seat of that machine:
// neither by anybody's name, nor by the machine's own, which it would be taken for.
// No name leads to it, and it goes with the session.
func TestSeatHasTheNameOfItsMachine(t *testing.T) {
	const terminal = "ts-1." + domain
	seated := wire.PeerRecord{ID: "n-9", Name: "ts-1", Addresses: []netip.Addr{addr("100.64.0.9"), addr("fd00:1::9")},
		Seats: []wire.Seat{{Session: "s-anna", Addresses: []netip.Addr{addr("100.64.0.77"), addr("fd00:1::77")}}}}
	m := hospitalMap(seated)
	m.Self.Seats = []wire.Seat{{Session: "s-ben", Addresses: []netip.Addr{addr("100.64.0.78")}}}
	r := dns.NewResponder(nil)
	r.Learn(dns.ZoneOf(m), nil, nil, false)
	answers := func(name string, qtype uint16, want string) {
		t.Helper()
		if got := told(ask(t, r, query(name, qtype))); got != want {
			t.Errorf("%s %s: %s, want %s", name, miekg.TypeToString[qtype], got, want)
		}
	}
	const v6 = "7.7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"
	answers("77.0.64.100.in-addr.arpa", miekg.TypePTR, "NOERROR seat."+terminal+".")
	answers(v6, miekg.TypePTR, "NOERROR seat."+terminal+".")
	answers("78.0.64.100.in-addr.arpa", miekg.TypePTR, "NOERROR seat.ward."+domain+".")
	answers("9.0.64.100.in-addr.arpa", miekg.TypePTR, "NOERROR "+terminal+".")
	answers(terminal, miekg.TypeANY, "NOERROR 100.64.0.9 fd00:1::9")
	answers("ward."+domain, miekg.TypeA, "NOERROR 100.64.0.1")
	for _, name := range []string{"seat." + terminal, "seat." + domain, "s-anna." + domain, "s-anna." + terminal} {
		answers(name, miekg.TypeANY, "NXDOMAIN")
	}
	seated.Seats = nil
	r.Learn(dns.ZoneOf(hospitalMap(seated)), nil, nil, false)
	answers("77.0.64.100.in-addr.arpa", miekg.TypePTR, "NXDOMAIN")
	answers("78.0.64.100.in-addr.arpa", miekg.TypePTR, "NXDOMAIN")
}
