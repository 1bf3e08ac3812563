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

// The gateway of these tests, two devices that it fronts, two nodes, and nobody.
const (
	gateway = "100.64.0.1"
	scanner = "10.99.0.2"
	monitor = "10.99.0.3"
	ehr     = "100.64.0.2"
	ward    = "100.64.0.3"
	vacant  = "100.64.0.9"
	abroad  = "203.0.113.7"
)

func classOf(address string) acl.Class {
	return map[string]acl.Class{gateway: 1, scanner: 2, monitor: 3, ehr: 4, ward: 5}[address]
}

func stands(id, address string, fronted bool) filter.Party {
	return filter.Party{ID: id, Name: id, Fronted: fronted, Prefixes: []acl.PrefixClass{{Prefix: prefix(address), Class: classOf(address)}}}
}

// allow is a rule between two addresses, for both directions' lists.
func allow(src, dst string, open ...acl.Service) acl.Rule {
	return acl.Rule{ID: acl.RuleID(src + ">" + dst), Src: []acl.Class{classOf(src)}, Dst: []acl.Class{classOf(dst)}, Open: open}
}

// fronting is the gateway's map with two fronted devices.
func fronting(rules ...acl.Rule) filter.Config {
	return filter.Config{
		Self: stands("", gateway, false), Mesh: []netip.Prefix{prefix("100.64.0.0/10")}, Rules: acl.RuleSet{In: rules, Out: rules},
		Peers: []filter.Party{stands("n-ehr", ehr, false), stands("n-ward", ward, false), stands("stock:scanner", scanner, true), stands("stock:monitor", monitor, true)},
	}
}

func web() acl.Service { return acl.Service{Protocol: acl.TCP, First: 80, Last: 80} }

func tcp(src, dst string, from, to uint16, flags byte) *packet.Packet {
	return parsed(packettest.IP(src, dst, 6, packettest.TCP(from, to, flags, 1, 1, 0)))
}

const (
	syn = 2
	ack = 16
)

// came judges a packet that came from a peer.
func came(f *filter.Filter, now time.Time, p *packet.Packet) (acl.Verdict, bool) {
	b := f.Begin(filter.At(now))
	defer b.End()
	v, _, on := b.Onward(p)
	return v, on
}

func TestFrontedDevicesAreJudgedLikeThoseBehind(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, fronting(allow(scanner, ehr, web()), allow(ward, scanner, web()), allow(scanner, gateway, web()), allow(monitor, scanner, web()))))
	for _, c := range []struct {
		what     string
		src, dst string
		from, to uint16
		flags    byte
		want     acl.Reason
		on       bool
	}{
		{"to a node", scanner, ehr, 4000, 80, syn, acl.Permitted, true},
		{"its answer", ehr, scanner, 80, 4000, syn | ack, acl.Established, true},
		{"to another port", scanner, ehr, 4000, 22, syn, acl.NoRule, true},
		{"to a node that it may not reach", scanner, ward, 4000, 80, syn, acl.NoRule, true},
		{"from a node", ward, scanner, 4000, 80, syn, acl.Permitted, true},
		{"its answer", scanner, ward, 80, 4000, syn | ack, acl.Established, true},
		{"from a node that may not", ehr, scanner, 4001, 80, syn, acl.NoRule, true},
		{"to the gateway", scanner, gateway, 4000, 80, syn, acl.Permitted, false},
		{"to another port of it", scanner, gateway, 4000, 22, syn, acl.NoRule, false},
		{"another device to the gateway", monitor, gateway, 4000, 80, syn, acl.NoRule, false},
		{"between two devices", monitor, scanner, 4000, 80, syn, acl.Permitted, true},
		{"its answer", scanner, monitor, 80, 4000, syn | ack, acl.Established, true},
		{"the other way", scanner, monitor, 4000, 80, syn, acl.NoRule, true},
		{"to an address that nobody has", scanner, vacant, 4000, 80, syn, acl.UnknownPeer, true},
		{"to the world", scanner, abroad, 4000, 80, syn, acl.NotOurs, false},
		{"to itself", scanner, scanner, 4000, 80, syn, acl.NotOurs, false},
		{"between two nodes", ward, ehr, 4000, 80, syn, acl.NotOurs, false},
	} {
		v, on := came(f, noon(), tcp(c.src, c.dst, c.from, c.to, c.flags))
		if v.Reason != c.want || v.Allow && on != c.on {
			t.Errorf("%s: %+v, onward %t; want %q, %t", c.what, v, on, c.want, c.on)
		}
	}
}

// A program of the gateway, or a device on its network, that takes the address of
// a fronted one has none of its rights, also in a flow that stands.
func TestFrontedDevicesSpeakByTheirTunnelAlone(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, fronting(allow(scanner, ehr, web()))))
	if v := judge(f, noon(), filter.Out, tcp(scanner, ehr, 4000, 80, syn)); v.Reason != acl.NotOurs {
		t.Errorf("a new flow: %+v", v)
	}
	if v, _ := came(f, noon(), tcp(scanner, ehr, 4000, 80, syn)); !v.Allow {
		t.Fatalf("by the tunnel: %+v", v)
	}
	if v := judge(f, noon(), filter.Out, tcp(scanner, ehr, 4000, 80, ack)); v.Reason != acl.NotOurs {
		t.Errorf("in a flow that stands: %+v", v)
	}
}

// Whatever ends a right ends the flow, whoever speaks next.
func TestFrontedDevicesLoseTheirFlows(t *testing.T) {
	for name, end := range map[string]func(c *filter.Config){
		"the rule":     func(c *filter.Config) { c.Rules = acl.RuleSet{} },
		"the device":   func(c *filter.Config) { c.Peers = append(c.Peers[:2:2], c.Peers[3]) },
		"the other":    func(c *filter.Config) { c.Peers = c.Peers[1:] },
		"all but self": func(c *filter.Config) { c.Peers = nil },
	} {
		for _, first := range []bool{true, false} {
			f := newFilter(t, filter.Options{})
			c := fronting(allow(scanner, ehr, web()))
			f.Load(compile(t, c))
			there, back := tcp(scanner, ehr, 4000, 80, syn), tcp(ehr, scanner, 80, 4000, syn|ack)
			for _, p := range []*packet.Packet{there, back} {
				if v, _ := came(f, noon(), p); !v.Allow {
					t.Fatalf("%+v", v)
				}
			}
			end(&c)
			f.Load(compile(t, c))
			next := back
			if first {
				next = tcp(scanner, ehr, 4000, 80, ack)
			}
			if v, _ := came(f, noon(), next); v.Allow {
				t.Errorf("without %s: %+v", name, v)
			}
		}
	}
}

// An ICMP error passes only from the two ends of the flow that it quotes.
func TestErrorsAboutFrontedDevicesComeFromTheEnds(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, fronting(allow(scanner, ehr, web()), allow(ward, scanner, web()), allow(monitor, ehr, web()))))
	there := packettest.IP(scanner, ehr, 6, packettest.TCP(4000, 80, syn, 1, 1, 0))
	back := packettest.IP(ehr, scanner, 6, packettest.TCP(80, 4000, syn|ack, 1, 1, 0))
	for _, b := range [][]byte{there, back} {
		if v, _ := came(f, noon(), parsed(b)); !v.Allow {
			t.Fatalf("%+v", v)
		}
	}
	for _, c := range []struct {
		from, to string
		quoted   []byte
		want     bool
	}{
		{ehr, scanner, there, true}, {scanner, ehr, back, true},
		{ward, scanner, there, false}, {monitor, ehr, back, false}, {monitor, scanner, there, false}, {ward, ehr, back, false},
	} {
		p := parsed(packettest.IP(c.from, c.to, 1, packettest.ICMPError(3, 4, c.quoted)))
		if v, _ := came(f, noon(), p); v.Allow != c.want {
			t.Errorf("%s to %s: %+v", c.from, c.to, v)
		}
	}
	p := parsed(packettest.IP(gateway, ehr, 1, packettest.ICMPError(3, 4, back)))
	if v := judge(f, noon(), filter.Out, p); v.Allow {
		t.Errorf("the gateway itself: %+v", v)
	}
}

// A refused device is told, within a share of its own.
func TestFrontedDevicesHearOfRefusals(t *testing.T) {
	f := newFilter(t, filter.Options{Answers: 20})
	f.Load(compile(t, fronting(allow(scanner, ehr, web()), allow(ward, scanner, web()))))
	told := func(src, dst string) (n int) {
		for port := range uint16(20) {
			p := tcp(src, dst, 5000+port, 22, syn)
			b := f.Begin(filter.At(noon()))
			v, d, _ := b.Onward(p)
			if _, ok := b.AppendAnswer(nil, d, p, v); ok {
				n++
			}
			b.End()
		}
		return n
	}
	for _, c := range []struct {
		src, dst string
		want     int
	}{{scanner, ehr, 2}, {monitor, ehr, 2}, {ward, scanner, 2}, {scanner, vacant, 0}, {ehr, scanner, 0}, {monitor, abroad, 0}} {
		if n := told(c.src, c.dst); n != c.want {
			t.Errorf("%s heard of %d refusals by %s, want %d", c.src, n, c.dst, c.want)
		}
	}
}

// What a fronted device opens is in its own share, not in that of whom it speaks to.
func TestFrontedDeviceUsesItsOwnShare(t *testing.T) {
	f := newFilter(t, filter.Options{MaxFlows: 1000, MaxFlowsPerPeer: 50})
	f.Load(compile(t, fronting(allow(scanner, ehr, web()), allow(ehr, gateway, web()), allow(monitor, ehr, web()))))
	for port := range uint16(50) {
		if v, _ := came(f, noon(), tcp(ehr, gateway, 4000+port, 80, syn)); !v.Allow {
			t.Fatalf("%+v", v)
		}
	}
	for port := range uint16(200) {
		came(f, noon(), tcp(scanner, ehr, 4000+port, 80, syn))
	}
	for port := range uint16(50) {
		if v, _ := came(f, noon(), tcp(ehr, gateway, 4000+port, 80, ack)); v.Reason != acl.Established {
			t.Fatalf("flow %d of the node is gone: %+v", port, v)
		}
	}
}

// With a device fronted, or behind, the same packets get the same verdicts.
func TestFrontedAgreesWithBehind(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	fronted, behind := newFilter(t, filter.Options{}), newFilter(t, filter.Options{})
	parties := []string{scanner, monitor, ehr, ward, vacant, abroad}
	load := func() {
		var rules []acl.Rule
		for range 4 {
			port := uint16(dice.IntN(3))
			rules = append(rules, allow(parties[dice.IntN(4)], parties[dice.IntN(4)], acl.Service{Protocol: acl.TCP, First: port, Last: port}, acl.Service{Protocol: acl.UDP, First: port, Last: port}))
		}
		c := fronting(rules...)
		fronted.Load(compile(t, c))
		c.Self.Prefixes = append(c.Self.Prefixes, c.Peers[2].Prefixes[0], c.Peers[3].Prefixes[0])
		c.Peers = c.Peers[:2]
		behind.Load(compile(t, c))
	}
	load()
	at, allowed := noon(), 0
	for i := range 50_000 {
		if i%500 == 499 {
			load()
		}
		at = at.Add(time.Duration(dice.IntN(50)) * time.Millisecond)
		src, dst := parties[dice.IntN(4)], parties[dice.IntN(6)]
		device := func(a string) bool { return a == scanner || a == monitor }
		if device(src) == device(dst) || dst == abroad {
			continue
		}
		p := parsed(draw(dice, src, dst))
		got, _ := came(fronted, at, p)
		d := filter.In
		if device(src) {
			d = filter.Out
		}
		if want := judge(behind, at, d, p); got != want {
			t.Fatalf("packet %d, %s to %s: %+v, and %+v for one behind", i, src, dst, got, want)
		}
		if got.Allow {
			allowed++
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d packets passed", allowed)
	}
}

// draw makes a packet between few ports, so that many belong to one flow.
func draw(dice *rand.Rand, src, dst string) []byte {
	from, to := uint16(dice.IntN(3)), uint16(dice.IntN(3))
	switch dice.IntN(4) {
	case 0:
		return packettest.IP(src, dst, 17, packettest.UDP(from, to, 8))
	case 1:
		return packettest.IP(src, dst, 1, packettest.ICMP([]byte{0, 8}[dice.IntN(2)], 0, from, 8))
	case 2:
		quoted := packettest.IP(dst, src, 17, packettest.UDP(to, from, 8))
		return packettest.IP(src, dst, 1, packettest.ICMPError(3, 3, quoted))
	}
	return packettest.IP(src, dst, 6, packettest.TCP(from, to, []byte{syn, syn | ack, ack, ack | 1, 4}[dice.IntN(5)], 1, 1, 8))
}

func TestOnwardAllocatesNothing(t *testing.T) {
	f := newFilter(t, filter.Options{})
	f.Load(compile(t, fronting(allow(scanner, ehr, web()))))
	there, back, spoofed := tcp(scanner, ehr, 4000, 80, syn), tcp(ehr, scanner, 80, 4000, syn|ack), tcp(scanner, ehr, 4000, 80, ack)
	if n := testing.AllocsPerRun(100, func() {
		b := f.Begin(filter.At(noon()))
		b.Onward(there)
		b.Onward(back)
		b.Out(spoofed)
		b.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
