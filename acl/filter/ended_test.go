package filter_test

import (
	"testing"
	"time"

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

// A connection that began here and lost its right is told of to the peer's side, be it
// that a packet found it out or nobody did; what the peer began, what is no connection
// and what was lost under rules before is not.
func TestConnectionsLostToTheirPeers(t *testing.T) {
	f := newFilter(t, filter.Options{})
	both := largeMap(10, 10)
	both.Rules.Out = []acl.Rule{{ID: "out", Src: []acl.Class{1}, Dst: []acl.Class{100}, Open: []acl.Service{
		{Protocol: acl.TCP, First: 443, Last: 443}, {Protocol: acl.UDP, First: 443, Last: 443},
	}}}
	none := largeMap(10, 10)
	none.Rules = acl.RuleSet{}
	const us, peer = "100.64.0.1", "100.65.0.0"
	out := func(b []byte) {
		batch := f.Begin(filter.At(noon()))
		defer batch.End()
		batch.Out(parsed(b))
	}
	open := func() {
		f.Load(compile(t, both))
		batch := f.Begin(filter.At(noon()))
		batch.In(parsed(packettest.IP(peer, us, 6, packettest.TCP(1000, 443, 2, 1, 0, 0))))
		batch.End()
		out(packettest.IP(us, peer, 6, packettest.TCP(1001, 443, 2, 1, 0, 0)))
		out(packettest.IP(us, peer, 6, packettest.TCP(1002, 443, 2, 1, 0, 0)))
		out(packettest.IP(us, peer, 17, packettest.UDP(1003, 443, 8)))
	}
	open()
	if got := f.Lost(); len(got) != 0 {
		t.Fatalf("nothing was lost, and %d connections are told of", len(got))
	}
	f.Load(compile(t, none))
	out(packettest.IP(us, peer, 6, packettest.TCP(1002, 443, 16, 2, 0, 0)))
	out(packettest.IP(us, peer, 17, packettest.UDP(1003, 443, 8)))
	f.Ended(filter.At(noon()), 10)
	got := f.Lost()
	ports := map[uint16]bool{}
	for _, fl := range got {
		ports[fl.SrcPort] = true
		if want := (packet.Flow{Src: parsed(packettest.IP(us, peer, 6, nil)).Src, Dst: parsed(packettest.IP(peer, us, 6, nil)).Src, SrcPort: fl.SrcPort, DstPort: 443, Proto: acl.TCP, Shape: packet.Ports}); fl != want {
			t.Errorf("lost %+v, want it as a packet to the peer: %+v", fl, want)
		}
	}
	if len(got) != 2 || !ports[1001] || !ports[1002] {
		t.Errorf("lost %+v, want the two from here", got)
	}
	if again := f.Lost(); len(again) != 0 {
		t.Errorf("told twice of %d connections", len(again))
	}
	open()
	f.Load(compile(t, none))
	f.Ended(filter.At(noon()), 10)
	f.Load(compile(t, both))
	if stale := f.Lost(); len(stale) != 0 {
		t.Errorf("%d connections are told of that were lost under other rules", len(stale))
	}
	for port := range uint16(1000) {
		out(packettest.IP(us, peer, 6, packettest.TCP(2000+port, 443, 2, 1, 0, 0)))
	}
	f.Load(compile(t, none))
	f.Ended(filter.At(noon()), 2000)
	if got := len(f.Lost()); got != 100 {
		t.Errorf("of 1000 connections %d are told of, want as many as refusals are answered in a second", got)
	}
}

// What is permitted still, be it by another rule or as another class, or drains, is told
// of to nobody.
func TestConnectionsThatGoOnAreTheirs(t *testing.T) {
	grant := func(id acl.RuleID, drain time.Duration, needs ...acl.Fact) filter.Config {
		c := largeMap(10, 10)
		c.Self.Facts = []acl.FactEnd{{Fact: "login", Until: noon().Add(time.Minute)}}
		c.Rules = acl.RuleSet{Out: []acl.Rule{{
			ID: id, Src: []acl.Class{1}, Dst: []acl.Class{100}, Needs: needs, Drain: drain,
			Open: []acl.Service{{Protocol: acl.TCP, First: 443, Last: 443}},
		}}}
		return c
	}
	moved := grant("out", 0)
	moved.Peers[0].Prefixes[0].Class = 777
	moved.Rules.Out[0].Dst = []acl.Class{777}
	drains := grant("out", time.Hour, "login")
	for what, after := range map[string]filter.Config{
		"the same": grant("out", 0), "another rule": grant("other", 0), "another class": moved, "draining": drains,
	} {
		f := newFilter(t, filter.Options{})
		f.Load(compile(t, grant("out", 0)))
		b := f.Begin(filter.At(noon()))
		b.Out(parsed(packettest.IP("100.64.0.1", "100.65.0.0", 6, packettest.TCP(1001, 443, 2, 1, 0, 0))))
		b.In(parsed(packettest.IP("100.65.0.0", "100.64.0.1", 6, packettest.TCP(443, 1001, 18, 1, 0, 0))))
		b.End()
		f.Load(compile(t, after))
		later := filter.At(noon().Add(2 * time.Minute))
		ended := f.Ended(later, 10)
		if lost := f.Lost(); len(ended) != 0 || len(lost) != 0 {
			t.Errorf("%s: told here of %v, and there of %v", what, ended, lost)
		}
		b = f.Begin(later)
		if v := b.Out(parsed(packettest.IP("100.64.0.1", "100.65.0.0", 6, packettest.TCP(1001, 443, 16, 2, 0, 0)))); !v.Allow {
			t.Errorf("%s: %v", what, v)
		}
		b.End()
	}
}
