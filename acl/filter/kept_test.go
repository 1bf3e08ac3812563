package filter_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// draining is a map of which all flows drain since a moment ago, and so many of them.
func draining(t *testing.T, flows int) (after *filter.Table, kept []filter.Drain) {
	t.Helper()
	c := largeMap(10, 10)
	for i := range c.Rules.In {
		c.Rules.In[i].Drain = time.Hour
	}
	table := compile(t, c)
	f := newFilter(t, filter.Options{})
	f.Load(table)
	for port := range uint16(flows) {
		b := f.Begin(filter.At(noon()))
		b.In(parsed(packettest.IP("100.65.0.0", "100.64.0.1", 6, packettest.TCP(1+port, 443, 2, 1, 0, 0))))
		b.In(parsed(packettest.IP("100.65.0.1", "100.64.0.1", 6, packettest.TCP(1+port, 443, 2, 1, 0, 0))))
		b.Out(parsed(packettest.IP("100.64.0.1", "100.65.0.0", 6, packettest.TCP(443, 1+port, 18, 1, 0, 0))))
		b.Out(parsed(packettest.IP("100.64.0.1", "100.65.0.1", 6, packettest.TCP(443, 1+port, 18, 1, 0, 0))))
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
	table, kept := draining(t, 3000)
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

// A file that somebody damaged gives nothing to anybody.
func TestDamagedDrainsAreNotTakenUp(t *testing.T) {
	table, kept := draining(t, 1)
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
	table, kept := draining(t, 1)
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
