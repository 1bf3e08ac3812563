package filter_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// limited is a large map whose rules have a limit.
func limited(peers, rules int, l acl.Limit) filter.Config {
	c := largeMap(peers, rules)
	for i := range c.Rules.In {
		c.Rules.In[i].Limit = l
	}
	return c
}

// Invariant 13 holds for what is counted: within a limit, when it is exceeded, and behind.
func TestLimitsAllocateNothing(t *testing.T) {
	for _, exceed := range []acl.Exceed{acl.Alert, acl.Throttle, acl.Cut} {
		f := newFilter(t, filter.Options{MaxFlows: 4096, MaxFlowsPerPeer: 4096})
		table := compile(t, limited(100, 10, acl.Limit{Bytes: 500, Window: 2 * time.Second, OnExceed: exceed}))
		f.Load(table)
		now := noon()
		for port := range 4096 {
			judge(f, now, filter.In, segment(port%100, port, 443, 2))
		}
		var packets [][4]*packet.Packet
		for i := range 201 {
			port, peer := 5000+i, i%10
			packets = append(packets, [4]*packet.Packet{
				segment(peer, port, 443, 2), reply(peer, port, 16), segment(peer, port, 443, 16), segment(peer, port, 443, 16),
			})
		}
		i := 0
		if n := testing.AllocsPerRun(200, func() {
			now = now.Add(100 * time.Millisecond)
			b := f.Begin(filter.At(now))
			for at, p := range packets[i] {
				if at == 1 {
					b.Out(p)
				} else {
					b.In(p)
				}
			}
			b.End()
			i++
		}); n != 0 {
			t.Errorf("%s: %v allocations", exceed, n)
		}
		if s := f.Stats(); exceed == acl.Cut && (s.Verdicts[filter.In][acl.LimitReached] == 0 || s.Verdicts[filter.In][acl.Established] == 0) {
			t.Errorf("the limit was not met: %v", s.Verdicts[filter.In])
		}
	}
}

// An attacker behind a gateway, or with many addresses of any kind, is one source:
// neither are there more meters than sources, nor has it more than its limit.
func TestManyAddressesAreOneSource(t *testing.T) {
	f := newFilter(t, filter.Options{})
	c := limited(1, 1, acl.Limit{Bytes: 10_000, Window: time.Hour, OnExceed: acl.Cut})
	c.Rules.In[0].Needs = nil
	c.Peers[0].Owner = 0
	c.Peers[0].Prefixes = append(c.Peers[0].Prefixes, acl.PrefixClass{Prefix: prefix("10.0.0.0/8"), Class: 100})
	f.Load(compile(t, c))
	passed := 0
	for i := range 10_000 {
		src := netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), 1})
		p := parsed(packettest.With(src, addr("100.64.0.1"), 6, packettest.TCP(1000, 443, 2, 1, 1, 60)))
		if judge(f, noon(), filter.In, p).Allow {
			passed += p.Len
		}
	}
	if passed != 10_000 {
		t.Errorf("%d bytes passed of a limit of 10,000", passed)
	}
	if told, more := f.Exceeded(); len(told) != 1 || more != 0 {
		t.Errorf("told of %d and %d more", len(told), more)
	}
}

// Where there is no room to count, what a limit would cut or slow down is refused, and
// what it would only tell of passes. Room is made by windows that are over.
func TestNoRoomToCount(t *testing.T) {
	for exceed, open := range map[acl.Exceed]bool{acl.Alert: true, acl.Throttle: false, acl.Cut: false} {
		f := newFilter(t, filter.Options{MaxMeters: 2})
		c := limited(4, 1, acl.Limit{Flows: 100, Window: time.Minute, OnExceed: exceed})
		f.Load(compile(t, c))
		for peer := range 4 {
			v := judge(f, noon(), filter.In, segment(peer, 1000, 443, 2))
			if want := peer < 2 || open; v.Allow != want || !want && v.Reason != acl.TableFull {
				t.Errorf("%s, source %d: %v", exceed, peer, v)
			}
		}
		later := noon().Add(time.Minute)
		f.Sweep(filter.At(later))
		for peer := range 2 {
			if v := judge(f, later, filter.In, segment(2+peer, 1000, 443, 2)); !v.Allow {
				t.Errorf("%s, source %d when the window is over: %v", exceed, 2+peer, v)
			}
		}
	}
}

// Of many sources that exceed a limit at once, some are told of by name.
func TestExcessesAreBounded(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, limited(100, 1, acl.Limit{Flows: 1, Window: time.Minute, OnExceed: acl.Alert})))
	for i := range 200 {
		judge(f, noon(), filter.In, segment(i%100, 1000+i, 443, 2))
	}
	told, more := f.Exceeded()
	if len(told) != 20 || more != 80 {
		t.Errorf("told of %d and %d more, of 100", len(told), more)
	}
	if told, more := f.Exceeded(); len(told) != 0 || more != 0 {
		t.Errorf("told twice of %d and %d more", len(told), more)
	}
}

// The record of an excess says what becomes of it, and for how long.
func TestExcessIsRecorded(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, limited(2, 1, acl.Limit{Bytes: 1000, Window: time.Hour, OnExceed: acl.Throttle})))
	for range 20 {
		judge(f, noon().Add(time.Second), filter.In, segment(1, 1000, 443, 2))
	}
	buf := make([]filter.Record, 10)
	n, _, _ := f.Records(0, buf)
	var got []string
	for _, r := range buf[:n] {
		got = append(got, fmt.Sprint(r.Kind, " ", r.Src, " ", r.Dst, " ", r.Peer, " ", r.Verdict.Rule, " ", r.OnExceed, " ", r.Until.Format("15:04")))
	}
	want := []string{
		"start 100.65.0.1:1000 100.64.0.1:443 peer1 rule0 unknown 00:00",
		"limit 100.65.0.1:1000 100.64.0.1:443 peer1 rule0 throttle 13:00",
		"refused 100.65.0.1:1000 100.64.0.1:443 peer1 rule0 unknown 00:00",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A throttled packet is lost, as on a slow line: an answer would end the connection.
func TestThrottledPacketsAreNotAnswered(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, limited(2, 1, acl.Limit{Bytes: 200, Window: time.Hour, OnExceed: acl.Throttle})))
	var v acl.Verdict
	p := segment(1, 1000, 443, 2)
	for range 3 {
		v = judge(f, noon(), filter.In, p)
	}
	b := f.Begin(filter.At(noon()))
	defer b.End()
	if _, answered := b.AppendAnswer(nil, filter.In, p, v); v.Reason != acl.Throttled || answered {
		t.Errorf("%v, answered %t", v, answered)
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for _, l := range []acl.Limit{
		{Bytes: 1, Flows: 1, Window: 1, OnExceed: acl.Cut}, {Window: 1, OnExceed: acl.Cut},
		{Bytes: 1, OnExceed: acl.Cut}, {Bytes: 1, Window: 1}, {Bytes: 1, Window: 1, OnExceed: acl.Cut + 1},
	} {
		if _, err := filter.Compile(limited(1, 1, l)); err == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}
