package filter_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// open makes a connection from a peer, answered, and reports whether it passed.
func open(f *filter.Filter, now time.Time, peer, port int) bool {
	ok := judge(f, now, filter.In, segment(peer, port, 443, 2)).Allow
	return judge(f, now, filter.Out, reply(peer, port, 0x12)).Allow && ok
}

func reply(peer, port int, flags byte) *packet.Packet {
	p := *segment(peer, port, 443, flags)
	p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	return &p
}

// known reports whether a connection is in the table: what is not there would
// be taken up as if it began, not found.
func known(f *filter.Filter, now time.Time, peer, port int) bool {
	return judge(f, now, filter.In, segment(peer, port, 443, 0x10)).Reason == acl.Established
}

// A permitted peer that floods us with SYNs uses up its own share, and not the
// connections that it or others have.
func TestFloodTakesOnlyTheFloodersShare(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 1000, MaxFlowsPerPeer: 400})
	f.Load(compile(t, largeMap(10, 10)))
	now := noon()
	for port := range 50 {
		if !open(f, now, 1, 2000+port) || !open(f, now, 2, 2000+port) {
			t.Fatal("a connection did not open")
		}
	}
	for i := range 20000 {
		if i%1000 == 0 { // what is in use is used
			now = now.Add(time.Second)
			for port := range 50 {
				known(f, now, 1, 2000+port)
			}
		}
		if v := judge(f, now, filter.In, segment(1, 10000+i, 443, 2)); !v.Allow {
			t.Fatalf("SYN %d: %v; half-open connections must give way to new ones", i, v)
		}
	}
	if n := f.Stats().Flows; n != 450 {
		t.Errorf("%d flows, want the flooder's 400 and 50 of the other", n)
	}
	for port := range 50 {
		if !known(f, now, 2, 2000+port) {
			t.Fatal("a connection of another peer was pushed out")
		}
		if !known(f, now, 1, 2000+port) {
			t.Fatal("an open connection of the flooder gave way to a half-open one")
		}
	}
}

// When the table is full, whoever has most of it gives way.
func TestFullTableTakesFromTheHeaviest(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 1000, MaxFlowsPerPeer: 900})
	f.Load(compile(t, largeMap(10, 10)))
	now := noon()
	for port := range 100 {
		open(f, now, 2, 2000+port)
	}
	for port := range 900 {
		open(f, now, 1, 2000+port)
	}
	for port := range 100 {
		if !open(f, now, 3, 2000+port) {
			t.Fatal("no room for a peer that has least")
		}
	}
	for port := range 100 {
		if !known(f, now, 2, 2000+port) || !known(f, now, 3, 2000+port) {
			t.Fatal("a peer that has little gave way")
		}
	}
	if s := f.Stats(); s.Flows != 1000 {
		t.Errorf("%d flows in a table of 1000", s.Flows)
	}
}

// A peer all of whose flows are in use gets no more.
func TestBusyFlowsGoBeforeNewOnes(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 100, MaxFlowsPerPeer: 10})
	f.Load(compile(t, largeMap(10, 10)))
	now := noon()
	for port := range 10 {
		open(f, now, 1, 2000+port)
	}
	v := judge(f, now, filter.In, segment(1, 9999, 443, 2))
	if v.Allow || v.Reason != acl.TableFull || v.Rule == "" {
		t.Fatalf("got %v", v)
	}
	now = now.Add(11 * time.Second)
	for port := range 9 {
		known(f, now, 1, 2000+port)
	}
	if v := judge(f, now, filter.In, segment(1, 9999, 443, 2)); !v.Allow {
		t.Fatalf("no room although a flow rests: %v", v)
	}
	for port := range 9 {
		if !known(f, now, 1, 2000+port) {
			t.Fatal("a flow in use gave way")
		}
	}
}

// The table finds every flow that it should and no other, through growth,
// collisions and removal, for many times its first size.
func TestTableFindsWhatItHolds(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 50000, MaxFlowsPerPeer: 50000})
	f.Load(compile(t, largeMap(100, 10)))
	type flow struct{ peer, port int }
	until := map[flow]time.Time{}
	rnd := rand.New(rand.NewPCG(1, 2))
	now := noon()
	for range 200000 {
		now = now.Add(5 * time.Millisecond)
		k := flow{rnd.IntN(100), 1000 + rnd.IntN(1000)}
		want := acl.Established
		if !now.Before(until[k]) {
			want = acl.Permitted
		}
		if v := judge(f, now, filter.In, segment(k.peer, k.port, 443, 2)); v.Reason != want {
			t.Fatalf("%v: got %v, want %v", k, v.Reason, want)
		}
		until[k] = now.Add(time.Minute)
		if rnd.IntN(5000) == 0 {
			f.Sweep(filter.At(now))
			alive := 0
			for _, end := range until {
				if now.Before(end) {
					alive++
				}
			}
			if n := f.Stats().Flows; n != alive {
				t.Fatalf("%d flows, want %d", n, alive)
			}
		}
	}
}

// Fragments: a sender of many first fragments does not push out those of others, be it
// from all the addresses that it has.
func TestFragmentFlood(t *testing.T) {
	f := newFilter(t, filter.Options{})
	c := largeMap(10, 10)
	behind := acl.PrefixClass{Prefix: prefix("10.9.0.0/16"), Class: c.Peers[2].Prefixes[0].Class}
	c.Peers[2].Prefixes = append(c.Peers[2].Prefixes, behind)
	f.Load(compile(t, c))
	first := func(peer, id int) *packet.Packet {
		p := *segment(peer, 2000, 443, 0x10)
		p.Frag, p.FragProto, p.FragID, p.FragEnd = packet.FirstFragment, acl.TCP, uint32(id), 64
		return &p
	}
	later := func(peer, id int) *packet.Packet {
		p := *first(peer, id)
		p.Shape, p.Frag, p.FragStart, p.FragEnd = packet.Later, packet.LaterFragment, 64, 96
		p.SrcPort, p.DstPort, p.Flags = 0, 0, 0
		return &p
	}
	now := noon()
	for id := range 20 {
		judge(f, now, filter.In, first(1, id))
	}
	for id := range 10000 {
		if v := judge(f, now, filter.In, first(2, id)); !v.Allow {
			t.Fatal(v)
		}
	}
	for id := range 10000 {
		p := first(2, id)
		p.Src = packet.AddrFrom(netip.AddrFrom4([4]byte{10, 9, byte(id >> 8), byte(id)}))
		if v := judge(f, now, filter.In, p); !v.Allow {
			t.Fatal(v)
		}
	}
	for id := range 20 {
		if v := judge(f, now, filter.In, later(1, id)); !v.Allow {
			t.Fatalf("fragment %d was pushed out: %v", id, v)
		}
	}
	newest := later(2, 9999)
	newest.Src = packet.AddrFrom(netip.AddrFrom4([4]byte{10, 9, 9999 >> 8, 9999 & 0xff}))
	if v := judge(f, now, filter.In, newest); !v.Allow {
		t.Fatalf("the newest of the many: %v", v)
	}
}

// An identifier that is used again names the newer datagram only.
func TestFragmentIdentifierUsedAgain(t *testing.T) {
	f := newFilter(t, filter.Options{})
	c := largeMap(10, 10)
	c.Rules.In[9].Open = append(c.Rules.In[9].Open, acl.Service{Protocol: acl.UDP, First: 443, Last: 443})
	f.Load(compile(t, c))
	whole := packettest.IP("100.65.0.1", "100.64.0.1", 17, packettest.UDP(9, 443, 100))
	short, long := packettest.Cut(whole, 7, 24), packettest.Cut(whole, 7, 48)
	for _, c := range []struct {
		b    []byte
		want acl.Reason
	}{
		{short[0], acl.Permitted}, {short[1], acl.Established},
		{long[0], acl.Established}, {short[1], acl.Malformed}, {long[1], acl.Established},
	} {
		if v := judge(f, noon(), filter.In, parsed(c.b)); v.Reason != c.want {
			t.Errorf("got %v, want %v", v, c.want)
		}
	}
}

// That two flows begin one datagram is seen also where there is room in front of the
// first one, left by others whose time is over.
func TestDisputedFragmentsAmongMany(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, largeMap(10, 10)))
	at := func(second, peer, port, piece int) {
		now := noon().Add(time.Duration(second) * time.Second)
		for id := range 100 {
			whole := packettest.With(segment(peer, 1, 1, 0).Src.IP(), addr("100.64.0.1"), 6, packettest.TCP(uint16(port), 443, 0x10, 1, 1, 100))
			v := judge(f, now, filter.In, parsed(packettest.Cut(whole, uint32(id), 64)[piece]))
			if v.Allow != (piece == 0) {
				t.Fatalf("piece %d of datagram %d of %d, after %d seconds: %v", piece, id, port, second, v)
			}
		}
	}
	at(0, 1, 1000, 0)
	at(10, 2, 2000, 0)
	at(16, 2, 3000, 0)
	at(17, 2, 2000, 1)
}

// A later fragment does not pass as part of the flow that took its flow's place.
func TestFragmentOfEvictedFlow(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 4, MaxFlowsPerPeer: 1})
	f.Load(compile(t, largeMap(10, 10)))
	pieces := packettest.Cut(packettest.IP("100.65.0.1", "100.64.0.1", 6, packettest.TCP(2000, 443, 2, 0, 0, 100)), 7, 64)
	if v := judge(f, noon(), filter.In, parsed(pieces[0])); !v.Allow {
		t.Fatal(v)
	}
	if v := judge(f, noon(), filter.In, segment(1, 3000, 443, 2)); !v.Allow {
		t.Fatal(v)
	}
	if v := judge(f, noon(), filter.In, parsed(pieces[1])); v.Reason != acl.NoFragment {
		t.Errorf("got %v", v)
	}
}

// Each peer has a tenth of the answers to what comes in, and all of them together
// take none from those to this machine's own programs.
func TestAnswersAreLimited(t *testing.T) {
	f := newFilter(t, filter.Options{Answers: 100})
	f.Load(compile(t, largeMap(50, 10)))
	out := parsed(packettest.IP("100.64.0.1", "100.65.0.1", 6, packettest.TCP(1000, 9, 2, 1, 0, 0)))
	count := func(at time.Duration, d filter.Direction, from, to int) (n int) {
		b := f.Begin(filter.At(noon().Add(at)))
		defer b.End()
		for i := range 200 * (to - from) {
			p, judge := segment(from+i%(to-from), 1000, 9, 2), b.In
			if d == filter.Out {
				p, judge = out, b.Out
			}
			if _, ok := b.AppendAnswer(nil, d, p, judge(p)); ok {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		at       time.Duration
		d        filter.Direction
		from, to int // peers
		want     int
	}{
		{0, filter.In, 0, 1, 10}, {0, filter.In, 0, 1, 0}, {0, filter.In, 1, 2, 10}, {0, filter.In, 0, 50, 80}, {0, filter.In, 49, 50, 0},
		{0, filter.Out, 0, 1, 100}, {99 * time.Millisecond, filter.In, 0, 1, 0},
		{100 * time.Millisecond, filter.In, 0, 1, 1}, {600 * time.Millisecond, filter.In, 0, 1, 5}, {time.Hour, filter.In, 0, 1, 10},
	} {
		if got := count(c.at, c.d, c.from, c.to); got != c.want {
			t.Errorf("at %v %v, peers %d to %d: %d answers, want %d", c.at, c.d, c.from, c.to, got, c.want)
		}
	}
	f.Load(compile(t, largeMap(50, 10)))
	if n := count(time.Hour, filter.In, 0, 1); n != 0 {
		t.Errorf("%d answers more after a new map", n)
	}
}

// A program that sends datagrams on and on after it was refused takes no answer
// from those that wait for a connection, on its machine or at a peer.
func TestRefusedDatagramsLeaveAnswersToConnections(t *testing.T) {
	f := newFilter(t, filter.Options{Answers: 100})
	f.Load(compile(t, largeMap(50, 10)))
	b := f.Begin(filter.At(noon()))
	defer b.End()
	answered := func(d filter.Direction, p *packet.Packet) bool {
		judge := b.In
		if d == filter.Out {
			judge = b.Out
		}
		_, ok := b.AppendAnswer(nil, d, p, judge(p))
		return ok
	}
	src, dst := "100.64.0.1", "100.65.0.1"
	for d, want := range map[filter.Direction]int{filter.Out: 100, filter.In: 10} {
		from, to := src, dst
		if d == filter.In {
			from, to = dst, src
		}
		connection := parsed(packettest.IP(from, to, 6, packettest.TCP(1000, 9, 2, 1, 0, 0)))
		datagram := parsed(packettest.IP(from, to, 17, packettest.UDP(1000, 9, 0)))
		n := 0
		for range 1000 {
			if answered(d, datagram) {
				n++
			}
		}
		if n != want || !answered(d, connection) {
			t.Errorf("%v: %d of 1000 datagrams were answered, want %d; and then not a connection", d, n, want)
		}
	}
}
