package filter_test

import (
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// A connection that lost its right is told of once, whether or not a packet of
// it comes; what keeps its right, and what is no connection, is not.
func TestEndedConnections(t *testing.T) {
	f := newFilter(t, filter.Options{})
	before := largeMap(10, 10)
	f.Load(compile(t, before))
	const us, peer = "100.64.0.1", "100.65.0.1"
	for _, b := range [][]byte{
		packettest.IP(peer, us, 6, packettest.TCP(1000, 443, 2, 1, 0, 0)),
		packettest.IP(peer, us, 6, packettest.TCP(1001, 443, 2, 1, 0, 0)),
		packettest.IP(peer, us, 17, packettest.UDP(1000, 443, 8)),
	} {
		batch := f.Begin(filter.At(noon()))
		batch.In(parsed(b))
		batch.End()
	}
	if got := f.Ended(filter.At(noon()), 10); len(got) != 0 {
		t.Fatalf("nothing changed, and %d connections ended", len(got))
	}
	f.Load(compile(t, before))
	if got := f.Ended(filter.At(noon()), 10); len(got) != 0 {
		t.Fatalf("the same rules came again, and %d connections ended", len(got))
	}
	after := largeMap(10, 10)
	after.Rules = acl.RuleSet{}
	f.Load(compile(t, after))
	if got := f.Ended(filter.At(noon()), 1); len(got) != 1 {
		t.Fatalf("%d connections at a limit of 1", len(got))
	}
	got := f.Ended(filter.At(noon()), 10)
	if len(got) != 1 {
		t.Fatalf("%d more connections, want the one that is left", len(got))
	}
	want := packet.Flow{Src: got[0].Src, Dst: got[0].Dst, SrcPort: got[0].SrcPort, DstPort: 443, Proto: acl.TCP, Shape: packet.Ports}
	if got[0] != want || got[0].Src.IP().String() != peer || got[0].Dst.IP().String() != us {
		t.Errorf("ended %+v, want it as a packet from the peer", got[0])
	}
	if again := f.Ended(filter.At(noon()), 10); len(again) != 0 {
		t.Errorf("told twice of %d connections", len(again))
	}
}
