package filter_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
)

// TestJudgeAgreesWithTheFilter: what is said of a flow that nobody sends is what
// a Filter says of its first packet, and by the same rule.
func TestJudgeAgreesWithTheFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig(t)
		c.Self.Facts = nil // a Judge knows of no facts, and of no lease
		for i := range c.Peers {
			c.Peers[i].Facts = nil
			for n := range c.Peers[i].Seats {
				c.Peers[i].Seats[n].Facts = nil
			}
		}
		for i := range c.Rules.In {
			c.Rules.In[i].Features, c.Rules.In[i].Hold = nil, 0
		}
		table, err := filter.Compile(*c)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			askBoth(t, c, table)
		}
	})
}

// askBoth asks a Filter without any flow, and a Judge, about one packet.
func askBoth(t *rapid.T, c *filter.Config, table *filter.Table) {
	var p packet.Packet
	p.Parse(anyPacket(t, filter.In))
	m := model{config: c}
	from, fromClass := m.whose(p.Src.IP())
	to, toClass := m.whose(p.Dst.IP())
	if from < 0 || to != -1 || m.seat(p.Dst.IP()) != nil || !first(&p) {
		return // not for the rules to say, or not the beginning of a flow
	}
	places := []filter.Place{{Class: fromClass, Owner: c.Peers[from].Owner}, {Class: toClass, Owner: c.Self.Owner}}
	all := filter.NewPlaces(places)
	if _, err := all.Judge(acl.RuleSet{In: c.Rules.Out, ForbidIn: c.Rules.ForbidOut}); err != nil { // judges share places, and nothing else
		t.Fatal(err)
	}
	j, err := all.Judge(c.Rules)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.New(filter.Options{Seed: 7, Records: 1, Refusals: 1, MaxFlows: 16})
	if err != nil {
		t.Fatal(err)
	}
	f.Load(table)
	got, want := j.Between(0, 1, p.Src.IP().Is6()).Judge(p.Proto, p.DstPort, filter.At(noon())), judge(f, noon(), filter.In, &p)
	if got != want {
		t.Fatalf("%+v: %+v, but the filter says %+v", p.Flow, got, want)
	}
}

// first tells whether a packet can be the first of a flow, and is all that a
// question can be about: of ICMP, the echo request.
func first(p *packet.Packet) bool {
	switch {
	case p.Frag != packet.Whole:
		return false
	case p.Proto == acl.TCP:
		return p.Flags&(packet.SYN|packet.ACK) == packet.SYN
	case p.Proto == acl.ICMP && p.Src.IP().Is4():
		return p.Shape == packet.Query && p.Type == 8
	case p.Proto == acl.ICMPv6 && p.Src.IP().Is6():
		return p.Shape == packet.Query && p.Type == 128
	}
	return p.Shape == packet.Ports || p.Shape == packet.Opaque
}

// A ping is of the ICMP of its own family: the other one needs a rule of its own, as
// any protocol without ports.
func TestJudgeKnowsTheFamilyOfAPing(t *testing.T) {
	rules := acl.RuleSet{In: []acl.Rule{{ID: "ssh", Src: []acl.Class{1}, Dst: []acl.Class{2}, Open: []acl.Service{{Protocol: acl.TCP, First: 22, Last: 22}}}}}
	j, err := filter.NewPlaces([]filter.Place{{Class: 1}, {Class: 2}}).Judge(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, six := range []bool{false, true} {
		for proto, want := range map[acl.Protocol]bool{acl.ICMP: !six, acl.ICMPv6: six} {
			if v := j.Between(0, 1, six).Judge(proto, 0, filter.At(noon())); v.Allow != want {
				t.Errorf("protocol %d over IPv6 (%v): %+v, want %v", proto, six, v, want)
			}
		}
	}
}
