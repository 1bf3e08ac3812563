package integration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// narrow is two networks with a router between them, the far one with an MTU of
// 1,280 bytes. If blind, the router's word on that never arrives.
func narrow(blind bool) lab.Topology {
	at := func(network, n int) []string {
		return []string{fmt.Sprintf("10.%d.0.%d/24", network, n), fmt.Sprintf("fd%d::%x/64", network, n)}
	}
	by := func(network int) []lab.Route {
		return []lab.Route{{To: "default", Via: fmt.Sprintf("10.%d.0.9", network)}, {To: "default", Via: fmt.Sprintf("fd%d::9", network)}}
	}
	nft := ""
	if blind {
		nft = `table inet blind { chain out { type filter hook output priority 0; policy accept;
			icmp type destination-unreachable drop
			icmpv6 type packet-too-big drop
		}
		}
`
	}
	return lab.Topology{
		Networks: []lab.Network{{Name: "wide"}, {Name: "narrow", MTU: 1280}},
		Machines: []lab.Machine{
			{Name: "hub", Links: []lab.Link{{Network: "wide", Addresses: at(77, 1)}}, Routes: by(77)},
			{Name: "desk", Links: []lab.Link{{Network: "wide", Addresses: at(77, 2)}}, Routes: by(77)},
			{Name: "router", Forward: true, NFT: nft, Links: []lab.Link{{Network: "wide", Addresses: at(77, 9)}, {Network: "narrow", Addresses: at(88, 9)}}},
			{Name: "ehr", Links: []lab.Link{{Network: "narrow", Addresses: at(88, 3)}}, Routes: by(88)},
		},
	}
}

// A path on which large packets vanish without a word carries streams all the same.
func TestNarrowPathCarriesStreams(t *testing.T) {
	for _, blind := range []bool{false, true} {
		t.Run(fmt.Sprintf("blind %v", blind), func(t *testing.T) {
			s := raiseOn(t, narrow(blind), relayedPolicy, member{name: "desk", owner: "tag:desk"}, member{name: "ehr", owner: "tag:ehr"})
			if s == nil {
				return
			}
			ehr := s.nodes["ehr"]
			for _, a := range []netip.Addr{ehr.Mesh4(), ehr.Mesh6()} {
				s.answered("desk", a)
				at := netip.AddrPortFrom(a, 9000)
				sink := s.Host("ehr").ServeSink(at)
				pump := s.Host("desk").StartPump(at, 0)
				longest := carries(t, sink, 10<<20)
				t.Logf("%s: longest wait for a byte %s", family(a), longest)
				if err := pump.Stop(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// carries waits until so many bytes have come, and gives the longest time without
// any.
func carries(t *testing.T, sink *lab.Sink, bytes int64) (longest time.Duration) {
	t.Helper()
	last, since := sink.Received(), time.Now()
	lab.Eventually(t, patience, "the stream arrives", func() (bool, string) {
		longest = max(longest, time.Since(since))
		if now := sink.Received(); now != last {
			last, since = now, time.Now()
		}
		return last >= bytes, fmt.Sprint(last, " bytes")
	})
	return longest
}
