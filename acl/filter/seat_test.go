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

func aSeat(session, address string, class acl.Class, facts ...acl.FactEnd) acl.Seat {
	return acl.Seat{Session: session, Prefixes: []acl.PrefixClass{{Prefix: prefix(address), Class: class}}, Facts: facts}
}

// shared is the map of a machine at which some people are signed in, each with an
// address 100.64.2.N, who may open whatever they like at a server.
func shared(people int) filter.Config {
	any := []acl.Service{{Protocol: acl.ICMP}, {Protocol: acl.TCP, Last: 65535}, {Protocol: acl.UDP, Last: 65535}}
	c := filter.Config{Revision: 1, Lease: noon(), Mesh: []netip.Prefix{prefix("100.64.0.0/10")},
		Self:  filter.Party{Prefixes: []acl.PrefixClass{{Prefix: prefix("100.64.0.1"), Class: 1}}},
		Peers: []filter.Party{{ID: "server", Prefixes: []acl.PrefixClass{{Prefix: prefix("100.65.0.1"), Class: 2}}}},
		Rules: acl.RuleSet{Out: []acl.Rule{{ID: "out", Src: []acl.Class{1}, Dst: []acl.Class{2}, Open: any}}}}
	for n := range people {
		c.Self.Seats = append(c.Self.Seats, aSeat(fmt.Sprint("s", n), fmt.Sprint("100.64.2.", n), 1))
	}
	return c
}

func datagram(src string, from uint16) *packet.Packet {
	return parsed(packettest.IP(src, "100.65.0.1", 17, packettest.UDP(from, 53, 30)))
}

func TestSeatsThatContradictAMap(t *testing.T) {
	for name, change := range map[string]func(c *filter.Config){
		"no session":           func(c *filter.Config) { c.Self.Seats[0].Session = "" },
		"one session twice":    func(c *filter.Config) { c.Self.Seats[1].Session = "s0" },
		"one address twice":    func(c *filter.Config) { c.Self.Seats[1].Prefixes = c.Self.Seats[0].Prefixes },
		"the machine's own":    func(c *filter.Config) { c.Self.Seats[0].Prefixes = c.Self.Prefixes },
		"a peer's":             func(c *filter.Config) { c.Self.Seats[0].Prefixes = c.Peers[0].Prefixes },
		"a seat's of a peer's": func(c *filter.Config) { c.Peers[0].Seats = []acl.Seat{aSeat("s9", "100.64.2.0", 1)} },
	} {
		c := shared(2)
		change(&c)
		if _, err := filter.Compile(c); err == nil {
			t.Errorf("%s: compiled", name)
		}
	}
	c := shared(2)
	c.Peers[0].Seats = []acl.Seat{aSeat("s0", "100.64.3.0", 1)} // another machine's session may have any name
	compile(t, c)
}

// However many sets of facts the rules need: a seat's are its own, whether worked out
// ahead or not, and neither its machine's nor another seat's.
func TestEachSetOfFactsIsKnownOfSeats(t *testing.T) {
	const facts = 20
	c := largeMap(1, 0)
	c.Peers[0].Facts = nil
	all := make([]acl.Seat, 2)
	all[0], all[1] = aSeat("even", "100.64.2.0", 100), aSeat("odd", "100.64.2.1", 100)
	for n := range facts {
		fact := acl.FactEnd{Fact: acl.Fact(fmt.Sprint("fact", n)), Until: noon().Add(time.Duration(n+1) * time.Minute)}
		all[n%2].Facts = append(all[n%2].Facts, fact)
		c.Rules.In = append(c.Rules.In, acl.Rule{ID: acl.RuleID(fmt.Sprint("rule", n)), Src: []acl.Class{100}, Dst: []acl.Class{1},
			Needs: []acl.Fact{fact.Fact}, Open: []acl.Service{{Protocol: acl.TCP, First: uint16(100 + n), Last: uint16(100 + n)}}})
	}
	c.Peers[0].Seats = all
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	for at := range facts + 1 {
		for n := range facts {
			for i, from := range []string{"100.64.2.0", "100.64.2.1", "100.65.0.0"} {
				p := parsed(packettest.IP(from, "100.64.0.1", 6, packettest.TCP(uint16(1000+at), uint16(100+n), 2, 1, 1, 0)))
				if v := judge(f, noon().Add(time.Duration(at)*time.Minute), filter.In, p); v.Allow != (n%2 == i && at <= n) || !v.Allow && v.Reason != acl.FactEnded {
					t.Fatalf("minute %d, fact %d, from %s: %v", at, n, from, v)
				}
			}
		}
	}
}

// One who downloads keeps nobody else's session alive, and hides nobody's work.
func TestActivityIsOfEachSeat(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, shared(3)))
	now := noon()
	send := func(from string) {
		t.Helper()
		if v := judge(f, now, filter.Out, datagram(from, 3000)); !v.Allow {
			t.Fatal(from, v)
		}
	}
	typed := map[string]time.Time{}
	check := func(when string) {
		t.Helper()
		for _, session := range []string{"", "s0", "s1", "s2", "s3"} {
			at, _, ever := f.Active(session)
			last, did := typed[session]
			if late := time.Duration(filter.At(last).Boot) - at; ever != did || did && (late < 0 || late > 100*time.Millisecond) {
				t.Errorf("%s, session %q: active %v, %s before its last packet; want %v", when, session, ever, late, did)
			}
		}
	}
	for ms := range 2000 {
		now = now.Add(time.Millisecond)
		send("100.64.2.0")
		typed["s0"] = now
		if ms < 1000 && ms%37 == 5 {
			send("100.64.2.1")
			typed["s1"] = now
		}
	}
	check("two of three work")

	next := shared(2)
	next.Self.Seats = append(next.Self.Seats[1:], aSeat("s3", "100.64.2.3", 1))
	f.Load(compile(t, next))
	f.Load(nil)
	f.Load(compile(t, next))
	delete(typed, "s0")
	check("one has left, and one come")
	now = now.Add(time.Second)
	for session, from := range map[string]string{"": "100.64.0.1", "s3": "100.64.2.3"} {
		send(from)
		typed[session] = now
	}
	check("the machine itself, and who came")

	if _, pause, _ := f.Active("s1"); pause < time.Hour {
		t.Errorf("before the first packet of a session nothing is known: a pause of %s", pause)
	}
	at, _, _ := f.Active("s1")
	f.Resume("s1", at)
	if _, pause, _ := f.Active("s1"); pause != 0 {
		t.Errorf("told, and still a pause of %s", pause)
	}
	if _, pause, _ := f.Active("s3"); pause == 0 {
		t.Error("the pause of another was told with it")
	}
}

// A peer whose only rules would lead to a seat may not speak to this node.
func TestWhoMayOnlyCallASeatHearsNothing(t *testing.T) {
	c := shared(1)
	c.Self.Seats[0].Prefixes[0].Class = 3
	c.Rules.In = []acl.Rule{{ID: "in", Src: []acl.Class{2}, Dst: []acl.Class{3}, Open: []acl.Service{{Protocol: acl.TCP, Last: 65535}}}}
	for _, may := range []bool{false, true} {
		if may {
			c.Rules.In[0].Dst = []acl.Class{1}
		}
		f := newFilter(t, filter.Options{})
		f.Load(compile(t, c))
		for _, to := range []string{"100.64.0.1", "100.64.2.0"} {
			p := parsed(packettest.IP("100.65.0.1", to, 17, packettest.UDP(9, 9, 8)))
			b := f.Begin(filter.At(noon()))
			v := b.In(p)
			_, answered := b.AppendAnswer(nil, filter.In, p, v)
			b.End()
			if v.Allow || answered != may {
				t.Errorf("may speak %v, to %s: %v, answered %v", may, to, v, answered)
			}
		}
	}
}

func TestSeatsAllocateNothing(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 4096, MaxFlowsPerPeer: 4096})
	f.Load(compile(t, shared(20)))
	var all []*packet.Packet
	for i := range 4096 {
		all = append(all, datagram(fmt.Sprint("100.64.2.", i%20), uint16(i)))
		judge(f, noon(), filter.Out, all[i])
	}
	var i int
	for _, now := range []time.Time{noon(), noon().Add(time.Hour)} { // what stands, and what begins in its place
		i = 0
		f.Sweep(filter.At(now))
		if n := testing.AllocsPerRun(150, func() { judge(f, now, filter.Out, all[i]); i++ }); n != 0 {
			t.Errorf("%v allocations at %s", n, now)
		}
	}
}

// BenchmarkSeats judges what people at a machine send, beside what it sends itself.
func BenchmarkSeats(b *testing.B) {
	for _, people := range []int{0, 1, 30} {
		table := compile(b, shared(people))
		froms := []string{"100.64.0.1"}
		for n := range people {
			froms = append(froms, fmt.Sprint("100.64.2.", n))
		}
		b.Run(fmt.Sprintf("established/people=%d", people), func(b *testing.B) {
			f := newFilter(b, filter.Options{})
			f.Load(table)
			batch := f.Begin(filter.At(noon()))
			defer batch.End()
			flows := make([]*packet.Packet, 1000)
			for i := range flows {
				flows[i] = datagram(froms[i%len(froms)], uint16(i))
				batch.Out(flows[i])
				back := *flows[i]
				back.Src, back.Dst, back.SrcPort, back.DstPort = back.Dst, back.Src, back.DstPort, back.SrcPort
				batch.In(&back)
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if v := batch.Out(flows[n/16%1000]); !v.Allow {
					b.Fatal(v)
				}
			}
		})
	}
}
