package filter_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// outward is a map whose node may open connections to all peers, and they none to it.
func outward(peers int) filter.Config {
	c := largeMap(peers, 10)
	all := c.Rules.In[9]
	c.Rules = acl.RuleSet{Out: []acl.Rule{{ID: "out", Src: all.Dst, Dst: all.Src, Open: []acl.Service{{Protocol: acl.TCP, First: 443, Last: 443}}}}}
	return c
}

// middle is a segment from the middle of a connection that this node may have opened.
func middle(peer, own int) *packet.Packet {
	p := segment(peer, 443, 0, 0x10)
	p.DstPort = uint16(own)
	return p
}

// A peer that makes segments up has the machine asked only so often, and has no share in
// the questions of others. What could not be asked about is not answered: a reset would
// end the connection, if there is one.
func TestQuestionsAreBounded(t *testing.T) {
	asked := map[netip.Addr]int{}
	f := newFilter(t, filter.Options{Answers: 1000, Stands: func(_, peer netip.AddrPort, _ filter.Direction) (stands, known bool) {
		asked[peer.Addr()]++
		return false, true
	}})
	c := outward(10)
	// They may speak to this node, so they hear of what is refused.
	c.Rules.In = []acl.Rule{{ID: "in", Src: c.Rules.Out[0].Dst, Dst: c.Rules.Out[0].Src, Open: []acl.Service{{Protocol: acl.TCP, First: 2575, Last: 2575}}}}
	f.Load(compile(t, c))
	at := func(now time.Time, p *packet.Packet) (acl.Reason, bool) {
		b := f.Begin(filter.At(now))
		defer b.End()
		v := b.In(p)
		_, answered := b.AppendAnswer(nil, filter.In, p, v)
		return v.Reason, answered
	}
	if why, answered := at(noon(), middle(1, 9)); why != acl.NoRule || !answered {
		t.Errorf("%v, answered %v: want a reset for a connection that is not there", why, answered)
	}
	for own := range 5000 {
		at(noon(), middle(1, own))
	}
	if why, answered := at(noon(), middle(1, 9)); why != acl.Throttled || answered {
		t.Errorf("%v, answered %v: want no answer where nobody was asked", why, answered)
	}
	if why, _ := at(noon(), middle(2, 9)); why != acl.NoRule {
		t.Errorf("%v: another peer has to wait", why)
	}
	flooder, other := asked[addr("100.65.0.1")], asked[addr("100.65.0.2")]
	if flooder != 1000 || other != 1 {
		t.Errorf("asked %d times for a flood, and %d times for another peer; want 1000 and 1", flooder, other)
	}
	for port := range 2000 { // what this machine makes up to one peer is not another's
		p := reply(3, port, 0x10)
		p.SrcPort = 2575
		judge(f, noon(), filter.Out, p)
	}
	if why, _ := at(noon(), middle(0, 9)); why != acl.NoRule || asked[addr("100.65.0.3")] != 1000 {
		t.Errorf("%v, and %d questions of a peer that this machine made things up to", why, asked[addr("100.65.0.3")])
	}
	if why, _ := at(noon().Add(time.Second), middle(1, 9)); why != acl.NoRule {
		t.Errorf("%v after a second", why)
	}
}

// Nor has a party that this node fronts to wait for what others make up to it.
func TestQuestionsAreTheSenders(t *testing.T) {
	f := newFilter(t, filter.Options{Stands: func(_, _ netip.AddrPort, _ filter.Direction) (stands, known bool) { return false, true }})
	c := outward(10)
	c.Peers[3].Fronted = true
	c.Rules.Out[0].Src = []acl.Class{103}
	f.Load(compile(t, c))
	at := func(peer int) acl.Reason {
		p := middle(peer, 9)
		p.Dst = segment(3, 1, 1, 0).Src
		b := f.Begin(filter.At(noon()))
		defer b.End()
		v, _, _ := b.Onward(p)
		return v.Reason
	}
	for range 1000 {
		if why := at(1); why != acl.NoRule {
			t.Fatal(why)
		}
	}
	if flooder, other := at(1), at(2); flooder != acl.Throttled || other != acl.NoRule {
		t.Errorf("who made 1000 up: %v; another: %v", flooder, other)
	}
}

// Invariant 13 holds for what is taken up, and for what is not.
func TestTakingUpAllocatesNothing(t *testing.T) {
	f := newFilter(t, filter.Options{Stands: func(own, _ netip.AddrPort, _ filter.Direction) (stands, known bool) { return own.Port() == 9, true }})
	f.Load(compile(t, outward(10)))
	real, made := middle(1, 9), middle(1, 10)
	now := noon()
	n := testing.AllocsPerRun(200, func() {
		if !judge(f, now, filter.In, real).Allow || judge(f, now, filter.In, made).Allow {
			t.Fatal("not as the machine says")
		}
		now = now.Add(2 * time.Minute) // so that it is forgotten
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
