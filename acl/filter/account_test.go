package filter_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// A prefix goes over to a standby gateway: the flow lives on, and counts as the standby's.
func TestFlowFollowsItsPrefix(t *testing.T) {
	c := largeMap(2, 10)
	far := acl.PrefixClass{Prefix: prefix("10.0.0.0/8"), Class: 100}
	c.Peers[0].Prefixes = append(c.Peers[0].Prefixes, far)
	f := newFilter(t, filter.Options{MaxFlows: 100, MaxFlowsPerPeer: 10})
	f.Load(compile(t, c))
	p := func(port uint16, flags byte) *packet.Packet {
		return parsed(packettest.IP("10.0.0.9", "100.64.0.1", 6, packettest.TCP(port, 443, flags, 1, 1, 0)))
	}
	for port := range 10 {
		judge(f, noon(), filter.In, p(uint16(2000+port), 2))
	}
	c.Peers[0].Prefixes = c.Peers[0].Prefixes[:1]
	c.Peers[1].Prefixes = append(c.Peers[1].Prefixes, far)
	f.Load(compile(t, c))
	for port := range 10 {
		if v := judge(f, noon(), filter.In, p(uint16(2000+port), 16)); v.Reason != acl.Established {
			t.Fatal(v)
		}
	}
	// The first gateway has its whole share again, the standby has used its own.
	for port := range 10 {
		if !open(f, noon(), 0, 3000+port) {
			t.Fatal("the first gateway still pays")
		}
	}
	if n := f.Stats().Flows; n != 20 {
		t.Errorf("%d flows", n)
	}
	judge(f, noon(), filter.In, p(4000, 2))
	if n := f.Stats().Flows; n != 20 {
		t.Errorf("%d flows: the standby has more than its share", n)
	}
}

// Accounts of peers that are gone are used again, those of peers that stay stay.
func TestAccountsOutliveRevisions(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 100, MaxFlowsPerPeer: 5})
	for round := range 20 {
		c := largeMap(10, 10)
		for i := range c.Peers[5:] {
			c.Peers[5+i].ID = fmt.Sprint("guest", round, i)
		}
		slices.Reverse(c.Peers) // the order of a map says nothing
		f.Load(compile(t, c))
		open(f, noon(), 1, 2000+round)
		open(f, noon(), 7, 2000)
		f.Sweep(filter.At(noon()))
	}
	if n := f.Stats().Flows; n != 6 {
		t.Errorf("%d flows, want the 5 that peer 1 may have and 1 of its guest", n)
	}
}

// Every peer pays for itself, whoever comes and goes.
func TestAccountsAreNotShared(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 1000, MaxFlowsPerPeer: 5})
	fill := func(peer int) {
		for port := range 5 {
			open(f, noon(), peer, 2000+port)
		}
	}
	f.Load(compile(t, largeMap(10, 10)))
	f.Load(compile(t, largeMap(11, 10)))
	for peer := range 11 {
		fill(peer)
	}
	if n := f.Stats().Flows; n != 55 {
		t.Fatalf("%d flows of 11 peers that may have 5 each", n)
	}
	// A peer goes; what is remembered of it is not the next one's to push out.
	f.Load(compile(t, largeMap(10, 10)))
	f.Sweep(filter.At(noon()))
	c := largeMap(11, 10)
	c.Peers[10].ID = "guest"
	f.Load(compile(t, c))
	for port := range 5 {
		open(f, noon(), 10, 3000+port)
	}
	if s := f.Stats(); s.Flows != 55 || s.Revoked != 5 {
		t.Errorf("%d flows and %d revoked, want 55 and 5", s.Flows, s.Revoked)
	}
}
