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

// peers and rules as a large node sees them: the last rule is the one that opens.
func largeMap(peers, rules int) filter.Config {
	c := filter.Config{Revision: 1, Lease: noon(), Mesh: []netip.Prefix{prefix("100.64.0.0/10")}}
	c.Self = filter.Party{Prefixes: []acl.PrefixClass{{Prefix: prefix("100.64.0.1"), Class: 1}}}
	for i := range peers {
		a := netip.AddrFrom4([4]byte{100, 65, byte(i >> 8), byte(i)})
		c.Peers = append(c.Peers, filter.Party{
			ID: fmt.Sprint("peer", i), Owner: acl.Owner(i + 1),
			Prefixes: []acl.PrefixClass{{Prefix: netip.PrefixFrom(a, 32), Class: acl.Class(100 + i%500)}},
			Facts: []acl.FactEnd{
				{Fact: "login", Until: noon().Add(time.Hour)}, {Fact: "mfa", Until: noon().Add(time.Hour)}, {Fact: "posture", Until: noon().Add(time.Hour)},
			},
		})
	}
	var all []acl.Class
	for i := range 500 {
		all = append(all, acl.Class(100+i))
	}
	for i := range rules {
		r := acl.Rule{ID: acl.RuleID(fmt.Sprint("rule", i)), Src: all, Dst: []acl.Class{1}, Needs: []acl.Fact{"login"},
			Open: []acl.Service{{Protocol: acl.TCP, First: uint16(10000 + i), Last: uint16(10000 + i)}}}
		if i < rules-10 { // most rules are about others
			r.Src = all[i%500 : i%500+1]
		}
		if i == rules-1 {
			r.Open = []acl.Service{{Protocol: acl.TCP, First: 443, Last: 443}}
		}
		c.Rules.In = append(c.Rules.In, r)
	}
	return c
}

func compile(t testing.TB, c filter.Config) *filter.Table {
	t.Helper()
	table, err := filter.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func parsed(b []byte) *packet.Packet {
	var p packet.Packet
	p.Parse(b)
	return &p
}

func segment(peer, port int, dst uint16, flags byte) *packet.Packet {
	src := netip.AddrFrom4([4]byte{100, 65, byte(peer >> 8), byte(peer)})
	return parsed(packettest.With(src, addr("100.64.0.1"), 6, packettest.TCP(uint16(port), dst, flags, 1, 1, 100)))
}

func BenchmarkVerdict(b *testing.B) {
	for _, rules := range []int{10, 100, 1000} {
		table := compile(b, largeMap(1000, rules))
		b.Run(fmt.Sprintf("established/rules=%d", rules), func(b *testing.B) { established(b, table) })
		b.Run(fmt.Sprintf("new/rules=%d", rules), func(b *testing.B) { fresh(b, table, 443) })
		b.Run(fmt.Sprintf("refused/rules=%d", rules), func(b *testing.B) { fresh(b, table, 9) })
	}
	for _, rules := range []int{10, 1000} {
		c := largeMap(1000, 100)
		for i := range rules {
			c.Rules.ForbidIn = append(c.Rules.ForbidIn, acl.Rule{ID: "ban", Src: []acl.Class{acl.Class(100 + i%500)}, Dst: []acl.Class{1},
				Open: []acl.Service{{Protocol: acl.TCP, First: uint16(2000 + i), Last: uint16(2010 + i)}}})
		}
		table := compile(b, c)
		b.Run(fmt.Sprintf("new/rules=100/forbids=%d", rules), func(b *testing.B) { fresh(b, table, 443) })
	}
}

// BenchmarkConditions judges under a hundred rules with all that a rule can ask for,
// beside the same ones that ask for nothing.
func BenchmarkConditions(b *testing.B) {
	for _, name := range []string{"plain", "conditions", "limit"} {
		table := compile(b, conditioned(1000, name))
		b.Run("established/"+name, func(b *testing.B) { established(b, table) })
		b.Run("new/"+name, func(b *testing.B) { fresh(b, table, 443) })
	}
}

// conditioned is a large map whose hundred rules ask for what a name says.
func conditioned(peers int, name string) filter.Config {
	c := largeMap(peers, 100)
	if name == "login" {
		return c
	}
	for i := range c.Rules.In {
		condition(&c.Rules.In[i], name)
	}
	for i := range 20 {
		if name != "plain" {
			c.Rules.ForbidIn = append(c.Rules.ForbidIn, acl.Rule{ID: "ban", Src: []acl.Class{acl.Class(100 + i)}, Dst: []acl.Class{1},
				Needs: []acl.Fact{"infected"}, Open: []acl.Service{{Protocol: acl.TCP, First: 1, Last: 65535}}})
		}
	}
	return c
}

// condition has a rule ask for nothing, for all that a rule can, or for a limit besides.
func condition(r *acl.Rule, name string) {
	if r.Needs = nil; name == "plain" {
		return
	}
	r.Needs, r.Hold, r.Drain = []acl.Fact{"login", "mfa", "posture"}, 24*time.Hour, time.Hour
	r.NotBefore, r.NotAfter = noon().Add(-time.Hour), noon().Add(2*time.Hour)
	r.Monitor = name == "conditions" && r.ID[len(r.ID)-1]%2 == 0
	if name == "limit" {
		r.Limit = acl.Limit{Bytes: 1 << 50, Window: time.Hour, OnExceed: acl.Cut}
	}
}

// established judges runs of 16 packets of each of 1,000 flows, all parsed already.
func established(b *testing.B, table *filter.Table) {
	f := newFilter(b, filter.Options{})
	f.Load(table)
	flows := make([]*packet.Packet, 1000)
	batch := f.Begin(filter.At(noon()))
	defer batch.End()
	for i := range flows {
		batch.In(segment(i, 40000+i, 443, 2))
		flows[i] = segment(i, 40000+i, 443, 16)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n++ {
		if v := batch.In(flows[n/16%1000]); !v.Allow {
			b.Fatal(v)
		}
	}
}

// fresh judges packets each of which begins a flow, or would: packets that were read
// just now, flows that take the places of others which ended long ago.
func fresh(b *testing.B, table *filter.Table, port uint16) {
	const flows = 1 << 15
	packets := make([]*packet.Packet, 1024)
	for i := range packets {
		packets[i] = segment(i%1000, 1000, port, 2)
	}
	var f *filter.Filter
	now := noon()
	begin := func(n int) bool {
		p := packets[n%1024]
		p.SrcPort = uint16(1000 + n%flows)
		batch := f.Begin(filter.At(now))
		v := batch.In(p)
		batch.End()
		return v.Allow
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n++ {
		if n%flows == 0 {
			b.StopTimer()
			if now = now.Add(100 * time.Second); f == nil || now.Sub(noon()) > 50*time.Minute {
				now, f = noon(), newFilter(b, filter.Options{})
				f.Load(table)
				for i := range flows {
					begin(i)
				}
				now = now.Add(100 * time.Second)
			}
			f.Sweep(filter.At(now))
			b.StartTimer()
		}
		if begin(n) != (port == 443) {
			b.Fatal("another verdict")
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, peers := range []int{100, 10000} {
		c := largeMap(peers, 1000)
		b.Run(fmt.Sprintf("compile/peers=%d", peers), func(b *testing.B) {
			for b.Loop() {
				compile(b, c)
			}
		})
		b.Run(fmt.Sprintf("load/peers=%d", peers), func(b *testing.B) {
			f := newFilter(b, filter.Options{})
			one, other := compile(b, c), compile(b, c)
			for b.Loop() {
				f.Load(one)
				one, other = other, one
			}
		})
	}
}
