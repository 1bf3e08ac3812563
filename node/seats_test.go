package node_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
	"github.com/cordonmesh/cordon/node/local"
)

// A peer explains flows of each person at a machine by what that one has proved, and
// so it does after a restart, before the coordinator is heard again. The machine itself,
// which is rootless, cannot tie anybody's address to them, and permits nothing from it.
func TestFlowsAreExplainedBySeat(t *testing.T) {
	a, b, sa, sb := pair(t)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	seat := func(session, at string, facts ...acl.Fact) wire.Seat {
		addr := netip.MustParseAddr(at)
		s := wire.Seat{Session: session, Addresses: []netip.Addr{addr}, Prefixes: []acl.PrefixClass{{Prefix: netip.PrefixFrom(addr, 32), Class: 1}}}
		for _, f := range facts {
			s.Facts = append(s.Facts, acl.FactEnd{Fact: f, Until: until})
		}
		return s
	}
	seats := []wire.Seat{seat("s1", "100.64.7.1", "mfa", local.FactSignedIn), seat("s2", "100.64.7.2", "mfa")}
	needing := func(m wire.Map) wire.Map {
		for _, rules := range []*[]acl.Rule{&m.Rules.In, &m.Rules.Out} {
			mine := (*rules)[0]
			mine.Needs = []acl.Fact{"mfa", local.FactSignedIn}
			*rules = []acl.Rule{mine}
		}
		return m
	}
	own := needing(a.full(6, []uint16{443}, b.record()))
	own.Self.Seats = seats
	own.Self.Sessions = []wire.Session{{ID: "s1", User: "ada", At: until.Add(-time.Hour), Until: until, Seat: "1000"}, {ID: "s2", User: "ben", At: until.Add(-time.Hour), Until: until, Seat: "1001"}}
	seen := a.record()
	seen.Seats = seats
	a.give(sa, own)
	b.give(sb, needing(b.full(6, []uint16{443}, seen)))
	for _, m := range []*machine{a, b} {
		m.eventually("the map", func() bool { return m.status().Map.Revision == 6 })
	}
	explains := func() {
		t.Helper()
		for from, want := range map[string][]string{"100.64.7.1": nil, "100.64.7.2": {local.FactSignedIn}, "100.64.0.1": {"mfa", local.FactSignedIn}} {
			for _, m := range []*machine{a, b} {
				m.eventually("explain for "+from, func() bool {
					e, err := m.Explain(t.Context(), local.ExplainRequest{Src: from, Dst: "100.64.0.2", Port: 443})
					if m == a && from != "100.64.0.1" {
						return err == nil && !e.Allow
					}
					return err == nil && e.Allow == (len(want) == 0) && slices.Equal(e.Needs, want) && (m == a || strings.HasPrefix(e.Src, "ward ("))
				})
			}
		}
		for _, m := range []*machine{a, b} {
			if e, err := m.Explain(t.Context(), local.ExplainRequest{Src: "100.64.0.2", Dst: "100.64.7.1", Port: 443}); err != nil || e.Allow || m == b && e.Reason != acl.SeatCalled.String() {
				t.Errorf("%s says of a call to a seat: %+v, %v", m.name, e, err)
			}
		}
	}
	explains()
	for _, m := range []*machine{a, b} {
		m.end()
		m.run()
		m.c.Next().Send(controltest.Heartbeat())
	}
	explains()
}
