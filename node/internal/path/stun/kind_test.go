package stun_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/stun"
)

// TestKinds gives the machine servers and what each of them sees.
func TestKinds(t *testing.T) {
	carrier := netip.MustParseAddrPort("100.64.1.1:41641")
	between := netip.MustParseAddrPort("10.200.0.9:7")
	var lost netip.AddrPort
	type saw map[netip.AddrPort]netip.AddrPort
	for _, tt := range []struct {
		name     string
		saw      saw
		kind     stun.Kind
		presumed bool
		preserve bool
		first    netip.AddrPort // of Mapped
	}{
		{"nobody answers", saw{one: lost, two: lost}, stun.Blocked, false, false, lost},
		{"one answer", saw{one: public}, stun.Unknown, false, false, public},
		{"two see the same", saw{one: public, two: public}, stun.EndpointIndependent, false, true, public},
		{"two see another port than ours", saw{one: public2, two: public2}, stun.EndpointIndependent, false, false, public2},
		{"one of three is silent", saw{one: public2, two: lost, three: public2}, stun.EndpointIndependent, false, false, public2},
		{"two ports of one server see the same", saw{one: public, oneB: public}, stun.EndpointIndependent, true, true, public},
		{"two ports of one server differ", saw{one: public, oneB: public2}, stun.AddressAndPortDependent, false, false, lost},
		{"two servers differ", saw{one: public, two: public2}, stun.AddressAndPortDependent, true, false, lost},
		{"two servers differ, ports do not", saw{one: public, oneB: public, two: public2}, stun.AddressDependent, false, false, lost},
		{"all differ", saw{one: public, oneB: public2, two: netip.MustParseAddrPort("203.0.113.7:9")}, stun.AddressAndPortDependent, false, false, lost},
		{"another public address for the second", saw{one: public, two: netip.MustParseAddrPort("203.0.113.8:41641")}, stun.AddressAndPortDependent, true, true, lost},
		{"our own address", saw{one: home, two: home}, stun.NoNAT, false, true, home},
		{"our own address, once", saw{one: home}, stun.NoNAT, false, true, home},
		{"a server inside the site alone", saw{near: home}, stun.NoNAT, true, true, home},
		{"servers inside behind a NAT", saw{near: between, near2: between}, stun.EndpointIndependent, true, false, between},
		{"a server inside sees us before the NAT", saw{near: home, one: public, two: public}, stun.EndpointIndependent, false, true, public},
		{"a public server that is routed to inside", saw{three: home, one: public, two: public}, stun.EndpointIndependent, false, true, public},
		{"a server between two NATs", saw{three: between, one: public, two: public}, stun.EndpointIndependent, false, true, public},
		{"a server inside, one outside", saw{near: home, one: public}, stun.Unknown, false, false, public},
		{"carrier's addresses are not the internet's", saw{three: carrier, one: public2, two: public2}, stun.EndpointIndependent, false, false, public2},
		{"nothing but the carrier's", saw{one: carrier, two: carrier}, stun.EndpointIndependent, false, true, carrier},
	} {
		w := newWorld(t)
		w.outside = func(s netip.AddrPort) netip.AddrPort { return tt.saw[s] }
		var servers []netip.AddrPort
		for _, s := range []netip.AddrPort{near, near2, one, oneB, two, three} {
			if _, there := tt.saw[s]; there {
				servers = append(servers, s)
			}
		}
		w.start(servers...)
		w.run(10 * time.Second)
		r := w.m.Report().V4
		if r.Kind != tt.kind || r.Presumed != tt.presumed || r.PreservesPort != tt.preserve {
			t.Errorf("%s: %v, presumed %v, preserves %v; want %v, %v, %v", tt.name, r.Kind, r.Presumed, r.PreservesPort, tt.kind, tt.presumed, tt.preserve)
		}
		if tt.first.IsValid() && (len(r.Mapped) == 0 || r.Mapped[0].Addr != tt.first) {
			t.Errorf("%s: mapped %v, want %v first", tt.name, r.Mapped, tt.first)
		}
	}
}

func TestKindsHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for k := stun.Unknown; k <= stun.AddressAndPortDependent; k++ {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("kind %d is called %q", k, s)
		} else {
			seen[s] = true
		}
	}
}
