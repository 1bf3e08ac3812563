package filter_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
	"pgregory.net/rapid"
)

// The same, where all rules are about the same few flows, so that rights end, drain,
// are taken, come back and are forbidden while something is open.
func TestLapsesAgreeWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agree(t, lapsingConfig, fewPackets, []time.Duration{20 * time.Second, time.Minute, 2 * time.Minute, 7 * time.Minute})
	})
}

func lapsingConfig(t *rapid.T) *filter.Config {
	c := &filter.Config{Revision: 1, Mesh: []netip.Prefix{prefix("100.64.0.0/10")}, Lease: noon()}
	c.Self.Prefixes = []acl.PrefixClass{{Prefix: prefix("100.64.0.1"), Class: 1}}
	peer := filter.Party{ID: "peer", Prefixes: []acl.PrefixClass{{Prefix: prefix("100.64.0.2"), Class: 2}}}
	proofs := func() (all []acl.FactEnd) {
		for _, fact := range []acl.Fact{acl.SignedIn, "login", "mfa"} {
			all = append(all, acl.FactEnd{Fact: fact, Until: noon().Add(minutes(t, "until"))})
		}
		return all
	}
	peer.Facts = proofs()
	peer.Seats = []acl.Seat{{Session: anySession(t, "100.64.2.1"), Prefixes: []acl.PrefixClass{{Prefix: prefix("100.64.2.1"), Class: 2}}, Facts: proofs()}}
	c.Peers = []filter.Party{peer}
	for i := range rapid.IntRange(1, 4).Draw(t, "rules") {
		r := lapsingRule(t, fmt.Sprint("rule", i%3)) // one id may stand for several rules
		c.Rules.In = append(c.Rules.In, r)
		r.Src, r.Dst = r.Dst, r.Src
		c.Rules.Out = append(c.Rules.Out, r)
	}
	for i := range max(0, rapid.IntRange(-3, 2).Draw(t, "forbids")) {
		r := lapsingRule(t, fmt.Sprint("forbid", i))
		c.Rules.ForbidIn = append(c.Rules.ForbidIn, r)
	}
	return c
}

func lapsingRule(t *rapid.T, id string) acl.Rule {
	r := acl.Rule{ID: acl.RuleID(id), Src: []acl.Class{2}, Dst: []acl.Class{1}}
	r.Open = []acl.Service{{Protocol: rapid.SampledFrom([]acl.Protocol{acl.TCP, acl.UDP}).Draw(t, "proto"), Last: 65535}}
	if rapid.Bool().Draw(t, "login") {
		r.Needs = append(r.Needs, "login")
	}
	if rapid.Bool().Draw(t, "signed in") {
		r.Needs = append(r.Needs, acl.SignedIn)
	}
	if rapid.IntRange(0, 3).Draw(t, "mfa") == 0 {
		r.Needs = append(r.Needs, "mfa")
	}
	if rapid.IntRange(0, 3).Draw(t, "scheduled") == 0 {
		r.NotBefore = noon().Add(minutes(t, "from") / 2)
		r.NotAfter = r.NotBefore.Add(minutes(t, "for"))
	}
	if rapid.IntRange(0, 5).Draw(t, "held") == 0 {
		r.Hold = minutes(t, "hold")
	}
	if rapid.Bool().Draw(t, "drains") {
		r.Drain = minutes(t, "drain")
	}
	r.Monitor = rapid.IntRange(0, 7).Draw(t, "monitor") == 0
	return r
}

func fewPackets(t *rapid.T, d filter.Direction) []byte {
	a, from, to := addr("100.64.0.1"), uint16(80), uint16(40000)
	b := addr(rapid.SampledFrom([]string{"100.64.0.2", "100.64.2.1"}).Draw(t, "peer"))
	if d == filter.In {
		a, b, from, to = b, a, to, from
	}
	if rapid.IntRange(0, 3).Draw(t, "udp") == 0 {
		return packettest.With(a, b, 17, packettest.UDP(from, to, 40))
	}
	flags := rapid.SampledFrom([]byte{2, 0x10, 0x10, 0x10, 0x12}).Draw(t, "flags")
	return packettest.With(a, b, 6, packettest.TCP(from, to, flags, 1, 1, 40))
}
