package filter_test

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/filter"
	"github.com/cordonmesh/cordon/acl/packet"
	"github.com/cordonmesh/cordon/acl/packet/packettest"
	"pgregory.net/rapid"
)

// The filter and the model must agree on every packet, whatever the map says,
// whenever it changes, however time goes.
func TestFilterAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agree(t, anyConfig, anyPacket, []time.Duration{
			time.Second, 14 * time.Second, 29 * time.Second, time.Minute, 3 * time.Minute, 10 * time.Minute, 25 * time.Hour,
		})
	})
}

func agree(t *rapid.T, config func(*rapid.T) *filter.Config, drawn func(*rapid.T, filter.Direction) []byte, later []time.Duration) {
	stands := anyStands(t)
	f, err := filter.New(filter.Options{Seed: 7, Stands: stands})
	if err != nil {
		t.Fatal(err)
	}
	m := &model{now: noon(), stands: stands, flows: map[modelKey]*modelFlow{}, pieces: map[modelPiece]*modelSeen{}}
	var c *filter.Config
	for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
		switch what := rapid.IntRange(0, 31).Draw(t, "what"); {
		case what == 0 || step == 0:
			c = config(t)
			load(t, f, m, c)
		case what == 1:
			c = changed(t, c)
			load(t, f, m, c)
		case what == 2:
			f.Load(nil)
			m.config = nil
			m.loads++
		case what == 3:
			m.lease = m.now
			f.Renew(m.now)
		case what == 4:
			f.Sweep(filter.At(m.now))
			if want, got := m.sweep(), f.Stats().Flows; got != want {
				t.Fatalf("%d flows have a right, not %d", want, got)
			}
		case what == 5:
			c = handedOn(t, c)
			load(t, f, m, c)
		case what <= 9:
			m.now = m.now.Add(rapid.SampledFrom(later).Draw(t, "later"))
		default:
			compare(t, f, m, drawn)
		}
	}
}

// anyStands draws what connections stand: of a third of all ends one does, of a third
// none, and of the rest nobody knows.
func anyStands(t *rapid.T) filter.Stands {
	seed := rapid.Uint64().Draw(t, "connections")
	return func(own, peer netip.AddrPort, begun filter.Direction) (stands, known bool) {
		h := fnv.New32a()
		fmt.Fprint(h, seed, own, peer, begun)
		drawn := h.Sum32() % 3
		return drawn == 0, drawn < 2
	}
}

func load(t *rapid.T, f *filter.Filter, m *model, c *filter.Config) {
	table, err := filter.Compile(*c)
	if err != nil {
		t.Fatal(err)
	}
	f.Load(table)
	m.config = c
	m.loads++
	if c.Lease.After(m.lease) {
		m.lease = c.Lease
	}
}

func compare(t *rapid.T, f *filter.Filter, m *model, drawn func(*rapid.T, filter.Direction) []byte) {
	d := rapid.SampledFrom([]filter.Direction{filter.In, filter.Out}).Draw(t, "direction")
	b := drawn(t, d)
	var p packet.Packet
	p.Parse(b)
	got, want := judge(f, m.now, d, &p), m.judge(d, &p)
	if got.Allow != want.allow() || got.Reason != want.reason {
		t.Fatalf("%v %+v\ngot  %v (%s)\nwant %v %v", d, p.Flow, verdict(got), got.Reason, want.reason, want.rules)
	}
	if want.reason != acl.Established && len(want.rules) > 1 {
		want.rules = want.rules[:1]
	}
	if named := got.Rule != ""; named != (len(want.rules) > 0) || named && !slices.Contains(want.rules, got.Rule) {
		t.Fatalf("%v %+v: %v names %q, not one of %q", d, p.Flow, got.Reason, got.Rule, want.rules)
	}
}

var (
	owns   = []string{"100.64.0.1", "100.64.1.1", "100.64.1.2", "192.168.7.5", "192.168.7.1", "fd00::1", "fd00::101"}
	others = []string{"100.64.0.2", "100.64.0.3", "100.64.2.1", "100.64.2.2", "100.64.3.1", "10.9.0.5", "10.9.1.5", "fd00::2", "fd00::201",
		"100.64.0.9", "8.8.8.8", "127.0.0.1"}
	likely = 9 // of others
)

// anyConfig draws a map over few addresses, classes and ports, so that what is
// drawn meets.
func anyConfig(t *rapid.T) *filter.Config {
	c := &filter.Config{Revision: 1, Mesh: []netip.Prefix{prefix("100.64.0.0/10"), prefix("fd00::/48")}}
	kind := func() acl.Class { return acl.Class(rapid.IntRange(0, 3).Draw(t, "class")) }
	give := func(p *filter.Party, prefixes ...string) {
		for _, s := range prefixes {
			p.Prefixes = append(p.Prefixes, acl.PrefixClass{Prefix: prefix(s), Class: kind()})
		}
		p.Owner = acl.Owner(rapid.IntRange(0, 2).Draw(t, "owner"))
		p.Facts = anyFacts(t)
	}
	give(&c.Self, "100.64.0.1", "fd00::1", "192.168.7.0/24", "192.168.7.1/32")
	sit(t, &c.Self, []string{"100.64.1.1", "fd00::101"}, []string{"100.64.1.2"})
	behind := rapid.IntRange(0, 1).Draw(t, "gateway")
	for i := range 2 {
		p := filter.Party{ID: fmt.Sprint("peer", i), Name: "a peer"}
		give(&p, fmt.Sprint("100.64.0.", i+2))
		if i == 0 {
			give(&p, "fd00::2")
			sit(t, &p, []string{"100.64.2.1", "fd00::201"}, []string{"100.64.2.2"})
		} else {
			sit(t, &p, []string{"100.64.3.1"}, []string{"10.9.0.5"}) // this one may be within what a gateway has
		}
		if i == behind {
			give(&p, "10.9.0.0/16", "10.9.1.0/24")
		}
		if rapid.IntRange(0, 5).Draw(t, "there") > 0 {
			c.Peers = append(c.Peers, p)
		}
	}
	for i := range rapid.IntRange(0, 8).Draw(t, "rules") {
		add(t, &c.Rules.In, &c.Rules.Out, anyRule(t, fmt.Sprint("rule", i)))
	}
	for i := range max(0, rapid.IntRange(-3, 2).Draw(t, "forbids")) {
		add(t, &c.Rules.ForbidIn, &c.Rules.ForbidOut, anyRule(t, fmt.Sprint("forbid", i)))
	}
	if rapid.Bool().Draw(t, "leased") {
		c.Lease = noon()
	}
	return c
}

func add(t *rapid.T, in, out *[]acl.Rule, r acl.Rule) {
	to := in
	if rapid.Bool().Draw(t, "out") {
		to = out
	}
	*to = append(slices.Clone(*to), r)
}

func minutes(t *rapid.T, name string) time.Duration {
	return time.Duration(rapid.IntRange(0, 30).Draw(t, name)) * time.Minute
}

func anyRule(t *rapid.T, id string) acl.Rule {
	some := func(name string) []acl.Class {
		all := rapid.SliceOfNDistinct(rapid.IntRange(1, 3), 0, 3, rapid.ID[int]).Draw(t, name)
		slices.Sort(all)
		var out []acl.Class
		for _, n := range all {
			out = append(out, acl.Class(n))
		}
		return out
	}
	r := acl.Rule{ID: acl.RuleID(id), Src: some("src"), Dst: some("dst")}
	for range rapid.IntRange(0, 3).Draw(t, "services") {
		s := acl.Service{Protocol: rapid.SampledFrom([]acl.Protocol{1, 6, 6, 17, 17, 47, 58, 132}).Draw(t, "proto")}
		switch rapid.IntRange(0, 2).Draw(t, "range") {
		case 0:
			s.Last = 65535
		case 1:
			s.First, s.Last = 80, 80
		default:
			s.First, s.Last = 80, 50000
		}
		r.Open = append(r.Open, s)
	}
	switch rapid.IntRange(0, 7).Draw(t, "condition") {
	case 0:
		r.Needs = []acl.Fact{"login"}
	case 1:
		r.Needs = []acl.Fact{"mfa", "login"}
	case 2:
		r.NotBefore = noon().Add(minutes(t, "from"))
		r.NotAfter = r.NotBefore.Add(minutes(t, "for"))
	case 3:
		r.Hold = minutes(t, "hold")
	case 4:
		r.SameOwner = true
	case 5:
		r.Features = []string{"unknown"}
	}
	if rapid.IntRange(0, 2).Draw(t, "drains") == 0 {
		r.Drain = minutes(t, "drain")
	}
	r.Monitor = rapid.IntRange(0, 5).Draw(t, "monitor") == 0
	return r
}

// changed is a later revision of the map: a rule or a peer less, or a fact, or a
// rule more.
func changed(t *rapid.T, from *filter.Config) *filter.Config {
	c := *from
	c.Revision++
	less := func(rules []acl.Rule) []acl.Rule {
		if len(rules) == 0 {
			return nil
		}
		i := rapid.IntRange(0, len(rules)-1).Draw(t, "gone")
		return slices.Delete(slices.Clone(rules), i, i+1)
	}
	switch rapid.IntRange(0, 8).Draw(t, "change") {
	case 0:
		c.Rules.In = less(c.Rules.In)
	case 1:
		c.Rules.Out = less(c.Rules.Out)
	case 2:
		if len(c.Peers) > 0 {
			c.Peers = c.Peers[1:]
		}
	case 3:
		c.Rules.In = append(slices.Clone(c.Rules.In), anyRule(t, "added"))
	case 4:
		add(t, &c.Rules.ForbidIn, &c.Rules.ForbidOut, anyRule(t, "banned"))
	case 5:
		c.Rules.ForbidIn, c.Rules.ForbidOut = less(c.Rules.ForbidIn), less(c.Rules.ForbidOut)
	case 6:
		c.Peers = slices.Clone(c.Peers)
		for i := range c.Peers {
			if facts := c.Peers[i].Facts; len(facts) > 0 {
				c.Peers[i].Facts = facts[1:]
			}
		}
	case 7:
		unsit(t, &c.Self)
	case 8:
		c.Peers = slices.Clone(c.Peers)
		for i := range c.Peers {
			unsit(t, &c.Peers[i])
		}
	}
	return &c
}

func anyPacket(t *rapid.T, d filter.Direction) []byte {
	own, peer := rapid.SampledFrom(owns).Draw(t, "own"), rapid.SampledFrom(others[:likely]).Draw(t, "peer")
	if rapid.IntRange(0, 15).Draw(t, "odd") == 0 {
		peer = rapid.SampledFrom(others).Draw(t, "other")
	}
	a, b := addr(own), addr(peer)
	if a.Is4() != b.Is4() {
		a, b = addr(rapid.SampledFrom(owns[5:]).Draw(t, "own in IPv6")), addr(rapid.SampledFrom(others[7:likely]).Draw(t, "peer in IPv6"))
	}
	if d == filter.In {
		a, b = b, a
	}
	whole := anyWhole(t, a, b)
	id := uint32(rapid.IntRange(0, 1).Draw(t, "id"))
	switch rapid.IntRange(0, 9).Draw(t, "piece") {
	case 0:
		return packettest.Cut(whole, id, 24)[0]
	case 1:
		return packettest.Cut(whole, id, 24)[1]
	case 2:
		quoted := anyWhole(t, b, a)
		kind, proto := byte(3), byte(1)
		if a.Is6() {
			kind, proto = 1, 58
		}
		return packettest.With(a, b, proto, packettest.ICMPError(kind, 1, quoted))
	}
	return whole
}

func anyWhole(t *rapid.T, a, b netip.Addr) []byte {
	port := func(name string) uint16 { return rapid.SampledFrom([]uint16{80, 40000}).Draw(t, name) }
	icmp := byte(1)
	kinds := []byte{8, 8, 0, 13, 14, 5}
	if a.Is6() {
		icmp, kinds = 58, []byte{128, 129, 137}
	}
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0, 1, 2:
		flags := rapid.SampledFrom([]byte{2, 2, 0x10, 0x10, 0x12, 0x11, 4, 3}).Draw(t, "flags")
		return packettest.With(a, b, 6, packettest.TCP(port("src"), port("dst"), flags, 1, 1, 40))
	case 3, 4:
		return packettest.With(a, b, 17, packettest.UDP(port("src"), port("dst"), 40))
	case 5:
		return packettest.With(a, b, 132, packettest.SCTP(port("src"), port("dst"), 40))
	case 6:
		return packettest.With(a, b, 47, make([]byte, 48))
	}
	kind := rapid.SampledFrom(kinds).Draw(t, "type")
	return packettest.With(a, b, icmp, packettest.ICMP(kind, 0, port("id"), 40))
}
