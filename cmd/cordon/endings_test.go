package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/local"
)

// A user reads what ends, when, and whether what is open goes on.
func TestStatusWarnsOfWhatEnds(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.Local)
	ehr, ward := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.2")
	s := &local.Status{
		Map:   local.MapStatus{PolicyTime: now},
		Peers: []local.Peer{{Name: "ehr", Addresses: []netip.Addr{ehr}}, {Name: "ward", Addresses: []netip.Addr{ward}}},
		Endings: []local.Ending{
			{Outbound: true, Src: ward, Dst: netip.AddrPortFrom(ehr, 443), Protocol: "tcp", Rule: "ward", End: now.Add(45 * time.Second), Cut: now.Add(45 * time.Second)},
			{Outbound: true, Dst: netip.MustParseAddrPort("10.0.0.9:104"), Protocol: "tcp", Rule: "a\nb", End: now.Add(4*time.Minute + 59*time.Second), Cut: now.Add(34 * time.Minute)},
			{Src: ward, Dst: netip.AddrPortFrom(netip.MustParseAddr("100.64.0.9"), 0), Protocol: "icmp", Cut: now.Add(5 * time.Minute)},
		},
	}
	const want = `ends in 45 s: tcp ehr:443 (rule ward)
ends in 4 min: tcp 10.0.0.9:104 (rule a?b), then what is open goes on until 14:34
has ended: icmp 100.64.0.9 from ward, what is open goes on until 14:05
`
	if got := endingsText(s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := endingsText(&local.Status{}); got != "" {
		t.Errorf("nothing ends, and it says %q", got)
	}
}

// endingsText is what status prints of them.
func endingsText(s *local.Status) (text string) {
	for _, w := range endings(s) {
		text += w.text + "\n"
	}
	return text
}
