package filter_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// draining is a map of which all flows drain since a moment ago, and so many of them of
// one peer after the other.
func draining(t *testing.T, flows ...int) (after *filter.Table, kept []filter.Drain) {
	t.Helper()
	c := largeMap(max(10, len(flows)), 10)
	for i := range c.Rules.In {
		c.Rules.In[i].Drain = time.Hour
	}
	table := compile(t, c)
	f := newFilter(t, filter.Options{})
	f.Load(table)
	for i, most := range flows {
		peer := netip.AddrFrom4([4]byte{100, 65, byte(i >> 8), byte(i)}).String()
		b := f.Begin(filter.At(noon()))
		for port := range uint16(most) {
			b.In(parsed(packettest.IP(peer, "100.64.0.1", 6, packettest.TCP(1+port, 443, 2, 1, 0, 0))))
			b.Out(parsed(packettest.IP("100.64.0.1", peer, 6, packettest.TCP(443, 1+port, 18, 1, 0, 0))))
		}
		b.End()
	}
	return table, f.Draining(filter.At(noon().Add(61 * time.Minute)))
}

// drainOn gives how many flows a new filter takes up of what was kept; none of these
// waits for a seat.
func drainOn(t *testing.T, o filter.Options, table *filter.Table, kept []filter.Drain) int {
	t.Helper()
	f := newFilter(t, o)
	f.DrainOn(kept)
	f.Load(table)
	at := filter.At(noon().Add(61 * time.Minute))
	f.Begin(at).End()
	if again := f.Draining(at); len(again) != f.Stats().Flows {
		t.Errorf("%d flows would be kept again, with %d in the table", len(again), f.Stats().Flows)
	}
	return f.Stats().Flows
}

// What is kept fits a small file, and takes no more room than its peers have.
func TestKeptDrainsAreBounded(t *testing.T) {
	table, kept := draining(t, 3000, 3000)
	if len(kept) != 4000 {
		t.Errorf("%d of 6000 flows are kept, want 4000", len(kept))
	}
	if got := drainOn(t, filter.Options{}, table, kept); got != 4000 {
		t.Errorf("%d of 4000 flows drain on", got)
	}
	if got := drainOn(t, filter.Options{}, table, slices.Concat(kept, kept[:1], kept)); got != 4000 {
		t.Errorf("%d flows drain on of 4000 that are kept twice", got)
	}
	if got := drainOn(t, filter.Options{MaxFlowsPerPeer: 100}, table, kept); got != 200 {
		t.Errorf("%d flows of two peers drain on, each of which has room for 100", got)
	}
}

// What waits for a seat counts too: it is kept again with what drains.
func TestKeptDrainsThatWaitTakeRoom(t *testing.T) {
	table, kept := draining(t, 2000, 2000)
	waiting := slices.Clone(kept[:3999])
	for i := range waiting {
		waiting[i].Own, waiting[i].Session = netip.MustParseAddrPort("100.64.9.1:443"), 1
	}
	f := newFilter(t, filter.Options{})
	f.DrainOn(slices.Concat(kept[:2], waiting))
	f.Load(table)
	at := filter.At(noon().Add(61 * time.Minute))
	f.Begin(at).End()
	if all, draining := len(f.Draining(at)), f.Stats().Flows; all != 4000 || draining != 2 {
		t.Errorf("%d flows are kept again while %d drain, want 4000 while two do", all, draining)
	}
}

// A peer that fills the room takes it from nobody who wants less.
func TestKeptDrainsAreSharedFairly(t *testing.T) {
	_, kept := draining(t, 7000, 5000, 500, 1)
	got := map[string]int{}
	for _, d := range kept {
		got[d.Payer]++
	}
	if want := map[string]int{"peer0": 1749, "peer1": 1749, "peer2": 500, "peer3": 1}; !maps.Equal(got, want) {
		t.Errorf("kept of each peer: %v, want %v", got, want)
	}
	if _, kept = draining(t, slices.Repeat([]int{2}, 4100)...); len(kept) != 4000 {
		t.Errorf("of more peers than there is room for %d flows are kept, want 4000", len(kept))
	}
}

// A file that somebody damaged gives nothing to anybody.
func TestDamagedDrainsAreNotTakenUp(t *testing.T) {
	table, kept := draining(t, 1, 1)
	if got := drainOn(t, filter.Options{}, table, kept); got != 2 {
		t.Fatalf("%d flows drain on, want two", got)
	}
	for what, damage := range map[string]func(d *filter.Drain){
		"another way":             func(d *filter.Drain) { d.Began = filter.Out },
		"no way":                  func(d *filter.Drain) { d.Began = 7 },
		"another protocol":        func(d *filter.Drain) { d.Protocol = acl.UDP },
		"one without ports":       func(d *filter.Drain) { d.Protocol = acl.ICMP },
		"no address here":         func(d *filter.Drain) { d.Own = netip.AddrPort{} },
		"no address there":        func(d *filter.Drain) { d.Peer = netip.AddrPort{} },
		"an address of nobody":    func(d *filter.Drain) { d.Peer = netip.MustParseAddrPort("100.99.0.1:1") },
		"another port":            func(d *filter.Drain) { d.Own = netip.AddrPortFrom(d.Own.Addr(), 444) },
		"another peer's share":    func(d *filter.Drain) { d.Payer = "peer3" },
		"an unknown peer's share": func(d *filter.Drain) { d.Payer = "" },
		"somebody's session":      func(d *filter.Drain) { d.Session = 1 },
		"another rule":            func(d *filter.Drain) { d.Rule++ },
		"no end":                  func(d *filter.Drain) { d.Until = time.Time{} },
	} {
		damaged := slices.Clone(kept)
		for i := range damaged {
			damage(&damaged[i])
		}
		if got := drainOn(t, filter.Options{}, table, damaged); got != 0 {
			t.Errorf("%s: %d flows drain on", what, got)
		}
	}
}

// An end that somebody wrote into the file is none: the rules say until when.
func TestKeptDrainsEndByTheRules(t *testing.T) {
	table, kept := draining(t, 1, 1)
	for i := range kept {
		kept[i].Until = noon().Add(24 * time.Hour)
	}
	f := newFilter(t, filter.Options{})
	f.DrainOn(kept)
	f.Load(table)
	f.Begin(filter.At(noon().Add(61 * time.Minute))).End()
	if got := f.Draining(filter.At(noon().Add(2*time.Hour - time.Second))); len(got) != 2 {
		t.Errorf("%d flows drain in the last second, want two", len(got))
	}
	if got := f.Draining(filter.At(noon().Add(2 * time.Hour))); len(got) != 0 {
		t.Errorf("%d flows drain after the rule's hour", len(got))
	}
}
