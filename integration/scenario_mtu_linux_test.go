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
				if longest > 3*time.Second {
					t.Errorf("%s: the stream stalled for %s, 3 s at most are allowed", family(a), longest)
				}
				if err := pump.Stop(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Nor are datagrams lost that a narrow path of IPv6, on which no router cuts
// anything, cannot carry: what IPv6 lets nobody make smaller leaves in pieces.
func TestNarrowIPv6PathCarriesWhatIsLonger(t *testing.T) {
	top := narrow(true)
	top.Machines[2].NFT += "table ip six { chain pass { type filter hook forward priority 0; meta l4proto udp drop; }; }\n"
	s := raiseOn(t, top, relayedPolicy, member{name: "desk", owner: "tag:desk"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	ehr := s.nodes["ehr"]
	s.Host("ehr").EchoUDP(netip.AddrPortFrom(netip.IPv6Unspecified(), 9000))
	lab.Eventually(t, patience, "both ends measure the narrow path", func() (bool, string) {
		s.lost("desk", netip.AddrPortFrom(ehr.Mesh6(), 9000), 100, 5) // a path is measured while it is used
		there, back := s.narrows("desk"), s.narrows("ehr")
		return there && back, fmt.Sprint(there, back)
	})
	for _, a := range []netip.Addr{ehr.Mesh4(), ehr.Mesh6()} {
		for _, size := range []int{1200, 1300, 3000} {
			if lost := s.lost("desk", netip.AddrPortFrom(a, 9000), size, 10); lost > 2 {
				t.Errorf("%s: %d of 10 datagrams of %d bytes are lost; one of either end may be, which learns from it", family(a), lost, size)
			}
		}
	}
}

// narrows tells whether a node's only peer is reached over IPv6, and known to be
// by a path that does not carry the least packet of IPv6 within a tunnel.
func (s *scene) narrows(name string) bool {
	s.t.Helper()
	st, err := s.nodes[name].Status()
	if err != nil || len(st.Peers) != 1 {
		return false
	}
	p := st.Peers[0]
	at, err := netip.ParseAddrPort(p.Endpoint)
	return err == nil && at.Addr().Is6() && p.MTU > 0 && p.MTU < 1280
}

// lost sends that many datagrams of a size, one after the other, and gives
// how many are not answered whole.
func (s *scene) lost(from string, to netip.AddrPort, size, count int) (n int) {
	s.t.Helper()
	conn, err := s.Host(from).Dial(s.t.Context(), "udp", to)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, size+1)
	for range count {
		conn.SetDeadline(time.Now().Add(quiet))
		_, err := conn.Write(make([]byte, size))
		got := 0
		if err == nil {
			got, err = conn.Read(buf)
		}
		if err != nil || got != size {
			n++
		}
	}
	return n
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
