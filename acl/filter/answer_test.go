package filter_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
)

// Invariant 3: the sender's user is told at once.
func TestAnswers(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, largeMap(10, 10)))
	const us, peer, stranger = "100.64.0.1", "100.65.0.1", "100.99.0.1"
	tcp, udp := packettest.TCP(1000, 9, 2, 1, 0, 0), packettest.UDP(1000, 9, 8)
	for _, c := range []struct {
		name string
		d    filter.Direction
		b    []byte
		want string
	}{
		{"TCP out", filter.Out, packettest.IP(us, peer, 6, tcp), "reset"},
		{"TCP in", filter.In, packettest.IP(peer, us, 6, tcp), "reset"},
		{"UDP out", filter.Out, packettest.IP(us, peer, 17, udp), "3/13"},
		{"UDP in", filter.In, packettest.IP(peer, us, 17, udp), "3/13"},
		{"TCP to nobody", filter.Out, packettest.IP(us, stranger, 6, tcp), "3/1"},
		{"TCP that stood, to nobody now", filter.Out, packettest.IP(us, stranger, 6, packettest.TCP(1000, 9, 16, 1, 7, 0)), "reset"},
		{"UDP to nobody", filter.Out, packettest.IP(us, stranger, 17, udp), "3/13"},
		{"ping to nobody", filter.Out, packettest.IP(us, stranger, 1, []byte{8, 0, 0, 0, 0, 1, 0, 1}), "3/1"},
		{"permitted", filter.In, packettest.IP(peer, us, 6, packettest.TCP(1000, 443, 2, 1, 0, 0)), ""},
		{"spoofed", filter.In, packettest.IP(stranger, us, 6, tcp), ""},
		{"nonsense", filter.In, []byte{0x45}, ""},
		{"later fragment", filter.In, packettest.Cut(packettest.IP(peer, us, 17, packettest.UDP(1, 2, 64)), 1, 24)[1], ""},
		{"reset", filter.In, packettest.IP(peer, us, 6, packettest.TCP(1000, 9, 4, 1, 0, 0)), ""},
	} {
		p := parsed(c.b)
		b := f.Begin(filter.At(noon()))
		v := b.In
		if c.d == filter.Out {
			v = b.Out
		}
		answer, ok := b.AppendAnswer([]byte("x"), c.d, p, v(p))
		b.End()
		got := ""
		if ok {
			q := parsed(answer[1:])
			got = map[packet.Flags]string{packet.RST | packet.ACK: "reset", packet.RST: "reset"}[q.Flags]
			if q.Shape == packet.Error {
				got = map[uint8]string{13: "3/13", 1: "3/1"}[q.Code]
			}
			if q.Src != p.Dst || q.Dst != p.Src {
				t.Errorf("%s: the answer does not go back", c.name)
			}
		}
		if got != c.want || string(answer[:1]) != "x" || !ok && len(answer) != 1 {
			t.Errorf("%s: answered %q, want %q", c.name, got, c.want)
		}
	}
	p := parsed(packettest.IP(us, peer, 6, tcp))
	b := f.Begin(filter.At(noon()))
	defer b.End()
	n := 0
	for range 1000 {
		if _, ok := b.AppendAnswer(nil, filter.Out, p, b.Out(p)); ok {
			n++
		}
	}
	if n > 100 {
		t.Errorf("%d answers in a moment", n)
	}
}

// A peer hears of its refusals if a rule lets it speak to this node at all, and
// only of what somebody may wait for.
func TestOnlyPeersThatMaySpeakHearOfRefusals(t *testing.T) {
	const us, ours, unclassed = "100.64.0.1", "10.88.0.1", "10.88.0.2"
	const clerk, twin, stranger, behind = "100.65.0.1", "100.65.0.2", "100.65.0.3", "10.9.0.1"
	c := filter.Config{Revision: 1, Mesh: []netip.Prefix{prefix("100.64.0.0/10")}}
	c.Self = filter.Party{Owner: 7, Prefixes: []acl.PrefixClass{
		{Prefix: prefix(us), Class: 1}, {Prefix: prefix("10.88.0.0/24"), Class: 2}, {Prefix: prefix(ours)}}}
	c.Peers = []filter.Party{
		{ID: "clerk", Owner: 8, Prefixes: []acl.PrefixClass{{Prefix: prefix(clerk), Class: 3}, {Prefix: prefix(behind), Class: 5}}},
		{ID: "twin", Owner: 7, Prefixes: []acl.PrefixClass{{Prefix: prefix(twin), Class: 4}}},
		{ID: "stranger", Owner: 8, Prefixes: []acl.PrefixClass{{Prefix: prefix(stranger), Class: 4}}},
	}
	open := []acl.Service{{Protocol: acl.TCP, First: 443, Last: 443}}
	c.Rules.In = []acl.Rule{
		{ID: "devices", Src: []acl.Class{3}, Dst: []acl.Class{2}, Open: open, NotAfter: noon()}, // at another time
		{ID: "own", Src: []acl.Class{4}, Dst: []acl.Class{1}, Open: open, SameOwner: true},
		{ID: "others", Src: []acl.Class{5}, Dst: []acl.Class{3}, Open: open}, // not to this node
		{ID: "nothing", Src: []acl.Class{5}, Dst: []acl.Class{1}},
	}
	c.Rules.Out = []acl.Rule{{ID: "away", Src: []acl.Class{1, 2}, Dst: []acl.Class{4, 5}, Open: open}}
	f := newFilter(t, filter.Options{})
	syn, udp, echo := packettest.TCP(1000, 9, 2, 1, 0, 0), packettest.UDP(1000, 9, 8), []byte{8, 0, 0, 0, 0, 1, 0, 1}
	try := func(src, dst string, proto uint8, body []byte) bool {
		p := parsed(packettest.IP(src, dst, proto, body))
		b := f.Begin(filter.At(noon()))
		defer b.End()
		_, ok := b.AppendAnswer(nil, filter.In, p, b.In(p))
		return ok
	}
	if try(clerk, us, 6, syn) {
		t.Error("answered before there is a map")
	}
	f.Load(compile(t, c))
	for _, x := range []struct {
		name, src, dst string
		proto          uint8
		body           []byte
		want           bool
	}{
		{"to a gateway's own address", clerk, ours, 6, syn, true},
		{"to a gateway's own address, UDP", clerk, ours, 17, udp, true},
		{"to a gateway's own address, ping", clerk, ours, 1, echo, true},
		{"outside the time of the rule", clerk, unclassed, 6, packettest.TCP(1000, 443, 2, 1, 0, 0), true},
		{"to another part of the node", clerk, us, 6, syn, true},
		{"the same person", twin, us, 6, syn, true},
		{"another person, same class", stranger, us, 6, syn, false},
		{"a source that no rule lets speak here", behind, us, 6, syn, false},
		{"from nobody", "100.99.0.1", us, 6, syn, false},
		{"from ourselves", us, us, 6, syn, false},
		{"to an address that is not ours", clerk, "10.89.0.1", 6, syn, false},
		{"a reset", clerk, us, 6, packettest.TCP(1000, 9, 4, 1, 0, 0), false},
		{"an answer to no question", clerk, us, 1, []byte{0, 0, 0, 0, 0, 1, 0, 1}, false},
		{"an error", clerk, us, 1, append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, packettest.IP(us, clerk, 17, udp)...), false},
	} {
		if got := try(x.src, x.dst, x.proto, x.body); got != x.want {
			t.Errorf("%s: answered %v, want %v", x.name, got, x.want)
		}
	}
}

// Whom this node called, by a right that it has lost since, hears that what they send is
// refused: their own node may not know of the loss, as of a sign-out while the coordinator
// is away, and else their programs wait for a timeout. Nobody learns anything by it.
func TestWhoWasCalledHearsOfTheEnd(t *testing.T) {
	const us, server, other = "100.64.0.1", "100.65.0.1", "100.65.0.2"
	f := newFilter(t, filter.Options{})
	signedIn := []acl.FactEnd{{Fact: acl.SignedIn, Until: noon().Add(time.Hour)}}
	c := filter.Config{Self: filter.Party{Prefixes: []acl.PrefixClass{{Prefix: prefix(us), Class: 1}}, Facts: signedIn}}
	for _, p := range []string{server, other} {
		c.Peers = append(c.Peers, filter.Party{ID: p, Prefixes: []acl.PrefixClass{{Prefix: prefix(p), Class: 2}}, Facts: signedIn})
	}
	r := acl.Rule{ID: "r", Src: []acl.Class{1}, Dst: []acl.Class{2}, Needs: []acl.Fact{acl.SignedIn}, Open: []acl.Service{{Protocol: acl.TCP, Last: 65535}, {Protocol: acl.UDP, Last: 65535}}}
	c.Rules.Out = []acl.Rule{r}
	back := acl.Rule{ID: "back", Src: []acl.Class{2}, Dst: []acl.Class{1}, Open: r.Open}
	c.Rules.In = []acl.Rule{back}
	f.Load(compile(t, c))
	now := noon()
	send := func(d filter.Direction, src, dst string, proto uint8, body []byte) (allowed, answered bool) {
		p := parsed(packettest.IP(src, dst, proto, body))
		b := f.Begin(filter.At(now))
		defer b.End()
		v := b.In
		if d == filter.Out {
			v = b.Out
		}
		said := v(p)
		_, answered = b.AppendAnswer(nil, d, p, said)
		return said.Allow, answered
	}
	for _, d := range []struct {
		from, to string
		port     uint16
		d        filter.Direction
	}{{us, server, 1000, filter.Out}, {server, us, 2000, filter.In}} {
		for proto, body := range map[uint8][]byte{6: packettest.TCP(d.port, 443, 2, 1, 0, 0), 17: packettest.UDP(d.port, 443, 8)} {
			if allowed, _ := send(d.d, d.from, d.to, proto, body); !allowed {
				t.Fatalf("%s to %s by %d is refused", d.from, d.to, proto)
			}
		}
	}
	c.Rules.In, c.Self.Facts = nil, nil
	f.Load(compile(t, c))
	answer := func(from string, src, dst uint16) (tcp, udp bool) {
		allowed, tcp := send(filter.In, from, us, 6, packettest.TCP(src, dst, 16, 1, 1, 8))
		allowedUDP, udp := send(filter.In, from, us, 17, packettest.UDP(src, dst, 8))
		if allowed || allowedUDP {
			t.Errorf("from %s:%d passes", from, src)
		}
		return tcp, udp
	}
	for _, x := range []struct {
		name     string
		from     string
		src, dst uint16
		want     bool
	}{
		{"in what it was called by", server, 443, 1000, true},
		{"in what it called itself by", server, 2000, 443, false},
		{"beside it", server, 443, 1001, false},
		{"somebody else", other, 443, 1000, false},
	} {
		if tcp, udp := answer(x.from, x.src, x.dst); tcp != x.want || udp != x.want {
			t.Errorf("%s: TCP answered %t, UDP %t, want %t", x.name, tcp, udp, x.want)
		}
	}
	now = now.Add(27 * time.Hour)
	if tcp, udp := answer(server, 443, 1000); tcp || udp {
		t.Errorf("long after: TCP answered %t, UDP %t", tcp, udp)
	}
}

// Before the first map a new connection is refused at once; one that stands is
// left to wait for the map, which may permit it.
func TestNoAnswerEndsAConnectionBeforeTheMap(t *testing.T) {
	f := newFilter(t, filter.Options{})
	const us, peer = "100.64.0.1", "100.65.0.1"
	for flags, told := range map[byte]bool{2: true, 16: false, 18: false, 17: false} {
		p := parsed(packettest.IP(us, peer, 6, packettest.TCP(1000, 443, flags, 1, 7, 0)))
		b := f.Begin(filter.At(noon()))
		v := b.Out(p)
		if _, ok := b.AppendAnswer(nil, filter.Out, p, v); v.Reason != acl.NoMap || ok != told {
			t.Errorf("TCP with flags %#x: refused with %q, answered %v, want %v", flags, v.Reason, ok, told)
		}
		b.End()
	}
}

// A rule says how much of its flows is recorded. A flow has an end in the
// records if it has a start there, whatever rule ends it.
func TestLogLevels(t *testing.T) {
	c := largeMap(10, 10)
	r := &c.Rules.In[9]
	r.Needs = []acl.Fact{"login"}
	for _, level := range []struct {
		log            acl.LogLevel
		flows, refused int
	}{{acl.LogFlows, 2, 1}, {acl.LogDrops, 0, 1}, {acl.LogOff, 0, 0}} {
		r.Log = level.log
		f := newFilter(t, filter.Options{})
		f.Load(compile(t, c))
		open(f, noon(), 1, 2000)
		judge(f, noon().Add(2*time.Hour), filter.In, segment(1, 2000, 443, 0x12))
		judge(f, noon().Add(2*time.Hour), filter.In, segment(2, 2000, 443, 2))
		judge(f, noon().Add(2*time.Hour), filter.In, segment(2, 2000, 443, 2))
		without := largeMap(10, 10)
		without.Rules.In = without.Rules.In[:9]
		f.Load(compile(t, without))
		judge(f, noon().Add(2*time.Hour), filter.In, segment(1, 2000, 443, 16))
		f.Sweep(filter.At(noon().Add(100 * time.Hour)))
		buf := make([]filter.Record, 10)
		n, _, _ := f.Records(0, buf)
		flows, refused := 0, 0
		for _, rec := range buf[:n] {
			if rec.Kind == filter.Refused && rec.Verdict.Reason == acl.FactEnded && rec.Src.Addr() == addr("100.65.0.2") {
				refused++
			} else if rec.Kind != filter.Refused {
				flows++
			}
		}
		if flows != level.flows || refused != level.refused {
			t.Errorf("log %d: %d records of flows and %d of refusals, want %d and %d", level.log, flows, refused, level.flows, level.refused)
		}
	}
}

// A table compiled before the last lease does not take the lease back.
func TestLeaseNeverGoesBack(t *testing.T) {
	c := largeMap(2, 10)
	c.Rules.In[9].Needs, c.Rules.In[9].Hold, c.Lease = nil, time.Hour, noon()
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, c))
	f.Renew(noon().Add(30 * time.Minute))
	f.Load(compile(t, c))
	if v := judge(f, noon().Add(80*time.Minute), filter.In, segment(1, 1, 443, 2)); !v.Allow {
		t.Errorf("80 minutes: %v", v)
	}
	f.Renew(noon())
	if v := judge(f, noon().Add(90*time.Minute-1), filter.In, segment(1, 2, 443, 2)); !v.Allow {
		t.Errorf("just before 90 minutes: %v", v)
	}
	if v := judge(f, noon().Add(90*time.Minute), filter.In, segment(1, 3, 443, 2)); v.Reason != acl.HoldEnded {
		t.Errorf("90 minutes: %v", v)
	}
	fresh := newFilter(t, filter.Options{})
	fresh.Load(compile(t, c))
	for _, at := range []time.Duration{time.Hour - 1, time.Hour} {
		v, _ := fresh.Explain(filter.At(noon().Add(at)), filter.In, addr("100.65.0.1"), addr("100.64.0.1"), acl.TCP, 443)
		if v.Allow != (at < time.Hour) {
			t.Errorf("explained at %v: %v", at, v)
		}
	}
}
