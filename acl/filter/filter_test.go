package filter_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// Invariant 13: our part of the packet path allocates nothing.
func TestVerdictAllocatesNothing(t *testing.T) {
	for _, name := range []string{"login", "conditions", "limit"} {
		t.Run(name, func(t *testing.T) { allocatesNothing(t, conditioned(100, name)) })
	}
}

func allocatesNothing(t *testing.T, c filter.Config) {
	f := newFilter(t, filter.Options{MaxFlows: 4096, MaxFlowsPerPeer: 4096})
	f.Load(compile(t, c))
	now := noon()
	for port := range 4096 { // the memory for so many flows is there
		judge(f, now, filter.In, segment(port%100, port, 443, 2))
	}
	fragment := packettest.Cut(packettest.IP("100.65.0.1", "100.64.0.1", 6, packettest.TCP(1000, 443, 2, 1, 1, 200)), 1, 64)
	port := 5000
	for name, packets := range map[string]func() []*packet.Packet{
		"established": func() []*packet.Packet { return []*packet.Packet{segment(1, 101, 443, 16), reply(1, 101, 16)} },
		"new":         func() []*packet.Packet { port++; return []*packet.Packet{segment(port%100, port, 443, 2)} },
		"refused":     func() []*packet.Packet { port++; return []*packet.Packet{segment(port%100, port, 9, 2)} },
		"fragments":   func() []*packet.Packet { return []*packet.Packet{parsed(fragment[0]), parsed(fragment[1])} },
		"malformed":   func() []*packet.Packet { return []*packet.Packet{{}} },
	} {
		var all [][]*packet.Packet
		for range 200 {
			all = append(all, packets())
		}
		i := 0
		n := testing.AllocsPerRun(150, func() {
			b := f.Begin(filter.At(now))
			for _, p := range all[i] {
				b.In(p)
				b.Out(p)
			}
			b.End()
			i++
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	// Judging again after a Load allocates nothing either.
	f.Load(compile(t, c))
	p := segment(1, 101, 443, 16)
	if n := testing.AllocsPerRun(100, func() { f.Renew(now); judge(f, now, filter.In, p) }); n != 0 {
		t.Errorf("again: %v allocations", n)
	}
}

func TestCompileRefusesContradictions(t *testing.T) {
	good := func() filter.Config {
		c := largeMap(2, 10)
		c.Peers[0].Prefixes = append(c.Peers[0].Prefixes, acl.PrefixClass{Prefix: prefix("10.0.0.0/8"), Class: 9})
		return c
	}
	if _, err := filter.Compile(good()); err != nil {
		t.Fatal(err)
	}
	give := func(p *filter.Party, s netip.Prefix, class acl.Class) {
		p.Prefixes = append(slices.Clone(p.Prefixes), acl.PrefixClass{Prefix: s, Class: class})
	}
	for name, spoil := range map[string]func(*filter.Config){
		`peer id ""`:        func(c *filter.Config) { c.Peers[1].ID = "" },
		`"peer0" is empty`:  func(c *filter.Config) { c.Peers[1].ID = "peer0" },
		"10.0.0.0/8 is in":  func(c *filter.Config) { give(&c.Peers[1], prefix("10.0.0.0/8"), 9) },
		"100.64.0.1/32 is":  func(c *filter.Config) { give(&c.Peers[1], prefix("100.64.0.1"), 1) },
		"different holders": func(c *filter.Config) { give(&c.Peers[0], prefix("10.0.0.0/8"), 8) },
		"10.0.0.1/8 is not": func(c *filter.Config) { give(&c.Peers[0], netip.MustParsePrefix("10.0.0.1/8"), 8) },
		"not in canonical":  func(c *filter.Config) { give(&c.Self, netip.Prefix{}, 8) },
		"::ffff:10.0.0.0/": func(c *filter.Config) {
			give(&c.Self, netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 104), 8)
		},
		"mesh range": func(c *filter.Config) { c.Mesh[0] = netip.MustParsePrefix("100.64.0.1/10") },
		"rule9":      func(c *filter.Config) { c.Rules.In[9].Open = []acl.Service{{Protocol: 6, First: 2, Last: 1}} },
		"class 0":    func(c *filter.Config) { c.Rules.In[9].Dst = []acl.Class{0} },
		"hold -1s":   func(c *filter.Config) { c.Rules.In[9].Hold = -time.Second },
	} {
		c := good()
		spoil(&c)
		table, err := filter.Compile(c)
		if err == nil || table != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c := good() // the same said twice is no contradiction
	give(&c.Peers[0], prefix("10.0.0.0/8"), 9)
	if _, err := filter.Compile(c); err != nil {
		t.Error(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := filter.New(filter.Options{Records: -1}); err == nil || !strings.Contains(err.Error(), "Records") {
		t.Errorf("got %v", err)
	}
	f, err := filter.New(filter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if v := judge(f, noon(), filter.In, segment(1, 1, 443, 2)); v.Allow || v.Reason != acl.NoMap {
		t.Errorf("a new filter says %v", v)
	}
}

func TestFlowRecords(t *testing.T) {
	f := newFilter(t, filter.Options{Records: 4})
	f.Load(compile(t, largeMap(10, 10)))
	now := noon()
	open(f, now, 1, 2000)
	known(f, now.Add(time.Second), 1, 2000)
	f.Load(nil)
	f.Sweep(filter.At(now.Add(2 * time.Second)))
	buf := make([]filter.Record, 10)
	n, next, lost := f.Records(0, buf)
	if n != 2 || next != 2 || lost != 0 {
		t.Fatalf("%d records, next %d, lost %d", n, next, lost)
	}
	start, end := buf[0], buf[1]
	want := filter.Record{
		Kind: filter.FlowStart, Flow: start.Flow, At: now, Direction: filter.In, Protocol: acl.TCP,
		Src: netip.MustParseAddrPort("100.65.0.1:2000"), Dst: netip.MustParseAddrPort("100.64.0.1:443"),
		Verdict: acl.Verdict{Allow: true, Reason: acl.Permitted, Rule: "rule9"}, Revision: 1,
		SrcPrefix: prefix("100.65.0.1"), DstPrefix: prefix("100.64.0.1"), SrcClass: 101, DstClass: 1, Peer: "peer1",
	}
	if start != want || start.Flow == 0 {
		t.Errorf("start\n%+v, want\n%+v", start, want)
	}
	if end.Kind != filter.FlowEnd || end.Flow != start.Flow || end.Verdict.Reason != acl.NoMap || end.Verdict.Allow ||
		end.Packets != [2]uint64{2, 1} || end.Bytes != [2]uint64{280, 140} || !end.Started.Equal(now) || !end.At.Equal(now.Add(2*time.Second)) {
		t.Errorf("end\n%+v", end)
	}
	f.Load(compile(t, largeMap(10, 10)))
	open(f, now, 3, 2000)
	f.Sweep(filter.At(now.Add(30 * time.Minute * 60)))
	n, _, _ = f.Records(2, buf)
	if r := buf[n-1]; n != 2 || r.Kind != filter.FlowEnd || r.SrcClass != 103 || r.DstClass != 1 || r.SrcPrefix != prefix("100.65.0.3") ||
		r.Peer != "peer3" || r.Verdict.Reason != acl.Established {
		t.Errorf("idle: %+v", r)
	}
	f, _ = filter.New(filter.Options{Records: 4})
	f.Load(compile(t, largeMap(10, 10)))
	for port := range 10 {
		open(f, now, 2, 2000+port)
	}
	n, next, lost = f.Records(0, buf)
	if n != 4 || next != 10 || lost != 6 {
		t.Errorf("%d records, next %d, lost %d", n, next, lost)
	}
	if n, next, _ := f.Records(next, buf); n != 0 || next != 10 {
		t.Errorf("%d records beyond the end, next %d", n, next)
	}
}

// A peer that knocks again and again fills one line, and a scan does not wash
// the flows out of the records.
func TestRefusalsAreFolded(t *testing.T) {
	f := newFilter(t, filter.Options{Refusals: 8})
	c := largeMap(10, 10)
	c.Peers[3].Name = "scanner"
	f.Load(compile(t, c))
	now := noon()
	for i := range 50 {
		judge(f, now.Add(time.Duration(i)*time.Second), filter.In, segment(3, 1000+i, 9, 2))
	}
	all := f.Refusals()
	if len(all) != 1 {
		t.Fatalf("%d refusals: %+v", len(all), all)
	}
	r := all[0]
	if r.Count != 50 || r.Peer != "scanner" || r.Dst.String() != "100.64.0.1:9" || r.Src.String() != "100.65.0.3:1000" ||
		r.Verdict.Reason != acl.NoRule || r.Protocol != acl.TCP || r.Direction != filter.In ||
		!r.First.Equal(now) || !r.Last.Equal(now.Add(49*time.Second)) {
		t.Errorf("%+v", r)
	}
	before := f.Stats().Records
	now = now.Add(time.Minute)
	for port := range 5000 {
		judge(f, now, filter.In, segment(3, 1000, uint16(1000+port), 2))
	}
	if n := f.Stats().Records - before; n > 25 {
		t.Errorf("a scan wrote %d records in a second", n)
	}
	all = f.Refusals()
	if len(all) != 8 || all[7].Dst.Port() != 5999 || all[0].Dst.Port() != 5992 {
		t.Errorf("not the newest, newest last: %+v", all)
	}
	s := f.Stats()
	if s.Verdicts[filter.In][acl.NoRule] != 5050 || s.Revision != 1 {
		t.Errorf("%+v", s)
	}
	if out := segment(3, 1, 9, 2); judge(f, now, filter.Out, out).Reason != acl.NotOurs || len(f.Refusals()) != 8 {
		t.Error("what this machine says to itself is in the list")
	}
}

// What is refused within a flow is told as the packet goes, not as the flow began.
func TestRefusalWithinFlow(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, largeMap(10, 10)))
	open(f, noon(), 1, 2000)
	c := largeMap(10, 10)
	c.Rules.In = c.Rules.In[:9]
	c.Peers[1].Name = "one"
	f.Load(compile(t, c))
	judge(f, noon(), filter.Out, reply(1, 2000, 16))
	buf := make([]filter.Record, 10)
	n, _, _ := f.Records(0, buf)
	r, all := buf[n-1], f.Refusals()
	if r.Kind != filter.Refused || r.Peer != "peer1" || r.SrcClass != 1 || r.DstClass != 101 || r.Direction != filter.Out {
		t.Errorf("%+v", r)
	}
	if len(all) != 1 || all[0].Peer != "one" || all[0].Src.String() != "100.64.0.1:443" {
		t.Errorf("%+v", all)
	}
}

// Clocks: between a cold start and the first lease, rules for people run ahead;
// when the lease comes, every flow is looked at again.
func TestClockJumpsEndFlows(t *testing.T) {
	f := newFilter(t, filter.Options{})
	c := largeMap(10, 10) // the rules need a login, until 13:00
	f.Load(compile(t, c))
	boot := 10 * time.Second
	at := func(boot time.Duration, policy time.Time, ahead time.Duration, flags byte) acl.Verdict {
		b := f.Begin(filter.MomentOf(boot, policy, ahead))
		defer b.End()
		return b.In(segment(1, 2000, 443, flags))
	}
	if v := at(boot, noon().Add(-24*time.Hour), 25*time.Hour, 2); v.Reason != acl.FactEnded {
		t.Errorf("human time is past the login: %v", v)
	}
	if v := at(boot, noon().Add(-24*time.Hour), 24*time.Hour, 2); !v.Allow {
		t.Errorf("the login holds: %v", v)
	}
	if v := at(boot+30*time.Minute, noon().Add(2*time.Hour), 0, 16); v.Reason != acl.FactEnded {
		t.Errorf("a lease told that it is later: %v", v)
	}
	if v := at(boot+31*time.Minute, time.Time{}, 0, 2); v.Allow {
		t.Errorf("nobody knows the time: %v", v)
	}
	// Boot time that goes back is no way to keep a flow alive.
	if v := at(boot, noon(), 0, 2); !v.Allow {
		t.Error(v)
	}
}

// Rules that need nothing of a person go by policy time alone: a pump does not
// lose its server because a flat battery set its gateway's clock years ahead.
func TestMachinesKeepTheirOwnTime(t *testing.T) {
	c := largeMap(2, 10)
	r := &c.Rules.In[9]
	r.Needs, r.NotAfter, r.Hold, c.Lease = nil, noon().Add(time.Hour), 2*time.Hour, noon()
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	for _, x := range []struct {
		policy time.Time
		ahead  time.Duration
		want   bool
	}{
		{noon(), 0, true}, {noon(), 1000 * time.Hour, true}, {noon().Add(time.Hour), 0, false}, {time.Time{}, 0, false},
	} {
		b := f.Begin(filter.MomentOf(time.Second, x.policy, x.ahead))
		if v := b.In(segment(1, 2000, 443, 2)); v.Allow != x.want {
			t.Errorf("policy time %v, people %v ahead: %v", x.policy, x.ahead, v)
		}
		b.End()
	}
}

// What an admin writes as "for ever" does not wrap around to "never", nor the reverse.
func TestFarEndsOfTime(t *testing.T) {
	const most = time.Duration(1<<63 - 1)
	for _, x := range []struct {
		name  string
		spoil func(*acl.Rule)
		want  bool
	}{
		{"until the year 9999", func(r *acl.Rule) { r.NotAfter = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, true},
		{"until the year 2240", func(r *acl.Rule) { r.NotAfter = time.Date(2240, 1, 1, 0, 0, 0, 0, time.UTC) }, true},
		{"from the year 9999", func(r *acl.Rule) { r.NotBefore = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{"until the year 1066", func(r *acl.Rule) { r.NotAfter = time.Date(1066, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{"the longest hold", func(r *acl.Rule) { r.Hold = most }, true},
	} {
		c := largeMap(2, 10)
		r := &c.Rules.In[9]
		r.Needs, c.Lease = nil, noon()
		x.spoil(r)
		f := newFilter(t, filter.Options{})
		f.Load(compile(t, c))
		if ok := open(f, noon(), 1, 2000); ok != x.want {
			t.Errorf("%s: permitted is %v", x.name, ok)
		}
	}
}

// A flow ends to the nanosecond, also where the clocks count from different days.
func TestFlowEndsWithItsRule(t *testing.T) {
	c := largeMap(2, 10)
	r := &c.Rules.In[9]
	r.Needs, r.NotAfter = nil, noon().Add(time.Second)
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	for _, boot := range []time.Duration{0, time.Second - 1, time.Second} {
		b := f.Begin(filter.MomentOf(boot, noon().Add(boot), 0))
		if v := b.In(segment(1, 5000, 443, 0x10)); v.Allow != (boot < time.Second) {
			t.Errorf("%v: %v", boot, v)
		}
		b.End()
	}
}

// A flow keeps the rule that permitted it until something changes, even if an
// earlier rule would permit it by now: nothing asks again at every packet.
func TestFlowKeepsItsRule(t *testing.T) {
	c := largeMap(2, 10)
	early := c.Rules.In[9]
	early.ID, early.NotBefore, early.Needs = "early", noon().Add(time.Second), nil
	c.Rules.In = slices.Insert(c.Rules.In, 0, early)
	c.Rules.In[10].NotAfter = noon().Add(time.Minute)
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	at := func(since, ahead time.Duration) acl.RuleID {
		b := f.Begin(filter.MomentOf(since, noon().Add(since), ahead))
		defer b.End()
		return b.In(segment(1, 2000, 443, 16)).Rule
	}
	for _, x := range []struct {
		since, ahead time.Duration
		want         acl.RuleID
	}{
		{0, 0, "rule9"}, {2 * time.Second, 0, "rule9"}, {3 * time.Second, time.Second / 2, "rule9"},
		{4 * time.Second, 2 * time.Second, "early"}, // the clocks jumped: for people alone
	} {
		if got := at(x.since, x.ahead); got != x.want {
			t.Errorf("after %v, people %v ahead: rule %q, want %q", x.since, x.ahead, got, x.want)
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 500, Records: 64})
	one, other := compile(t, largeMap(20, 10)), compile(t, largeMap(10, 5))
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 2000 {
				b := f.Begin(filter.At(noon().Add(time.Duration(i) * time.Millisecond)))
				b.In(segment(g*5+i%5, i, 443, 2))
				p := segment(g*5+i%5, i, 9, 2)
				b.AppendAnswer(nil, filter.In, p, b.In(p))
				b.Out(reply(g*5+i%5, i, 0x12))
				b.End()
			}
		})
	}
	all.Go(func() {
		buf := make([]filter.Record, 16)
		for i := range 200 {
			f.Load([]*filter.Table{one, other, nil}[i%3])
			f.Sweep(filter.At(noon()))
			f.Renew(noon())
			f.Records(0, buf)
			f.Refusals()
			f.Stats()
			_, _ = f.Explain(filter.At(noon()), filter.In, addr("100.65.0.1"), addr("100.64.0.1"), acl.TCP, 443)
		}
	})
	all.Wait()
	f.Load(nil)
	f.Sweep(filter.At(noon().Add(time.Hour)))
	if n := f.Stats().Flows; n != 0 {
		t.Errorf("%d flows without a map", n)
	}
}

// Whatever bytes come, from either side: no panic, and no way in but by a rule.
func FuzzFilter(fz *testing.F) {
	fz.Add([]byte{0x45, 0, 0, 20}, false)
	for _, b := range [][]byte{
		packettest.IP("100.65.0.1", "100.64.0.1", 6, packettest.TCP(1, 443, 2, 0, 0, 0)),
		packettest.IP("100.65.0.1", "100.64.0.1", 1, packettest.ICMP(8, 0, 7, 9)),
		packettest.IP("100.65.0.1", "100.64.0.1", 1, packettest.ICMPError(3, 1, packettest.IP("100.64.0.1", "100.65.0.1", 6, packettest.TCP(443, 1, 2, 0, 0, 0)))),
		packettest.Cut(packettest.IP("100.65.0.1", "100.64.0.1", 17, packettest.UDP(1, 443, 99)), 3, 64)[1],
	} {
		fz.Add(b, true)
	}
	table, err := filter.Compile(largeMap(10, 10))
	if err != nil {
		fz.Fatal(err)
	}
	fz.Fuzz(func(t *testing.T, b []byte, out bool) {
		f := newFilter(t, filter.Options{Records: 16, Refusals: 16})
		f.Load(table)
		var p packet.Packet
		fault := p.Parse(b)
		d := filter.In
		if out {
			d = filter.Out
		}
		v := judge(f, noon(), d, &p)
		again := judge(f, noon(), d, &p)
		if v.Allow && (fault != packet.Sound || v.Rule == "") || v.Allow != again.Allow {
			t.Fatalf("%v, then %v; fault %v", v, again, fault)
		}
	})
}
