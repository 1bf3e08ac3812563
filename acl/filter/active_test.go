package filter_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// What counts as somebody at this machine doing something is what it sends in flows
// that it opened; no answers, no pings, and no segments that say nothing.
func TestActiveIsWhoSendsInOwnFlows(t *testing.T) {
	const syn, ack, push, reset = 0x02, 0x10, 0x18, 0x04
	own, peer := "100.64.0.1", "100.65.0.1"
	tcp := func(src, dst string, from, to uint16, flags byte, payload int) *packet.Packet {
		return parsed(packettest.IP(src, dst, 6, packettest.TCP(from, to, flags, 1, 1, payload)))
	}
	udp := func(src, dst string, from, to uint16, payload int) *packet.Packet {
		return parsed(packettest.IP(src, dst, 17, packettest.UDP(from, to, payload)))
	}
	any := []acl.Service{{Protocol: acl.ICMP}, {Protocol: acl.TCP, Last: 65535}, {Protocol: acl.UDP, Last: 65535}}
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, filter.Config{Revision: 1, Lease: noon(),
		Self:  filter.Party{Prefixes: []acl.PrefixClass{{Prefix: prefix(own), Class: 1}}},
		Peers: []filter.Party{{ID: "p", Prefixes: []acl.PrefixClass{{Prefix: prefix(peer), Class: 2}}}},
		Rules: acl.RuleSet{In: []acl.Rule{{ID: "in", Src: []acl.Class{2}, Dst: []acl.Class{1}, Open: any}},
			Out: []acl.Rule{{ID: "out", Src: []acl.Class{1}, Dst: []acl.Class{2}, Open: any}}}}))
	if at, _, ever := f.Active(""); ever {
		t.Fatalf("active at %s before anything passed", at)
	}
	now := noon()
	last := time.Duration(0)
	for i, tt := range []struct {
		what string
		d    filter.Direction
		p    *packet.Packet
		is   bool
	}{
		{"another opens a connection", filter.In, tcp(peer, own, 2000, 22, syn, 0), false},
		{"and is answered", filter.Out, tcp(own, peer, 22, 2000, syn|ack, 0), false},
		{"and is sent something", filter.Out, tcp(own, peer, 22, 2000, push, 500), false},
		{"a ping", filter.Out, parsed(packettest.IP(own, peer, 1, packettest.ICMP(8, 0, 7, 500))), false},
		{"this machine opens a connection", filter.Out, tcp(own, peer, 3000, 443, syn, 0), false},
		{"which is answered", filter.In, tcp(peer, own, 443, 3000, syn|ack, 0), false},
		{"acknowledged", filter.Out, tcp(own, peer, 3000, 443, ack, 0), false},
		{"a request", filter.Out, tcp(own, peer, 3000, 443, push, 2), true},
		{"its answer", filter.In, tcp(peer, own, 443, 3000, push, 1000), false},
		{"a probe of life", filter.Out, tcp(own, peer, 3000, 443, ack, 0), false},
		{"one with a byte", filter.Out, tcp(own, peer, 3000, 443, ack, 1), false},
		{"another request", filter.Out, tcp(own, peer, 3000, 443, push, 30), true},
		{"the end", filter.Out, tcp(own, peer, 3000, 443, reset, 0), false},
		{"a datagram", filter.Out, udp(own, peer, 3001, 53, 30), true},
		{"an empty one", filter.Out, udp(own, peer, 3001, 53, 0), false},
		{"another's datagram", filter.In, udp(peer, own, 53, 53, 30), false},
		{"its answer", filter.Out, udp(own, peer, 53, 53, 30), false},
		{"an IPv6 packet that nothing permits", filter.Out, parsed(packettest.IP("fd00::1", "fd00::2", 17, packettest.UDP(1, 2, 30))), false},
	} {
		now = now.Add(time.Second)
		judge(f, now, tt.d, tt.p)
		at, _, ever := f.Active("")
		if tt.is {
			last = time.Duration(filter.At(now).Boot)
		}
		if ever != (last > 0) || ever && at != last {
			t.Fatalf("%d, %s: active at %s, %v; want %s", i, tt.what, at, ever, last)
		}
	}
}

// A pause is remembered until it was told, whatever comes after it.
func TestPausesAreRemembered(t *testing.T) {
	own, peer := "100.64.0.1", "100.65.0.1"
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, filter.Config{Revision: 1, Lease: noon(),
		Self:  filter.Party{Prefixes: []acl.PrefixClass{{Prefix: prefix(own), Class: 1}}},
		Peers: []filter.Party{{ID: "p", Prefixes: []acl.PrefixClass{{Prefix: prefix(peer), Class: 2}}}},
		Rules: acl.RuleSet{Out: []acl.Rule{{ID: "out", Src: []acl.Class{1}, Dst: []acl.Class{2}, Open: []acl.Service{{Protocol: acl.UDP, Last: 65535}}}}}}))
	now := noon()
	after := func(d time.Duration, want time.Duration) (at time.Duration) {
		t.Helper()
		now = now.Add(d)
		judge(f, now, filter.Out, parsed(packettest.IP(own, peer, 17, packettest.UDP(3001, 53, 30))))
		at, pause, _ := f.Active("")
		if pause != want {
			t.Errorf("after %s a pause of %s, want %s", d, pause, want)
		}
		return at
	}
	first := after(0, 1<<63-1) // who knows what was before
	f.Resume("", first)
	after(time.Second, time.Second)
	told := after(time.Hour, time.Hour)
	after(time.Minute, time.Hour)
	f.Resume("", first)
	after(time.Minute, time.Hour)
	f.Resume("", told)
	after(time.Minute, time.Minute)
}
