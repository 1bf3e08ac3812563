package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/local"
)

// The local API tells until when a limit refuses what is more, among the refusals and
// to whoever asks.
func TestStatusTellsOfALimit(t *testing.T) {
	a, b, sa, sb := pair(t)
	answerAndWait(t, b, 443)
	limited := func(m wire.Map) wire.Map {
		for _, rules := range []*[]acl.Rule{&m.Rules.In, &m.Rules.Out} {
			*rules = slices.Clone(*rules)
			(*rules)[0].Limit = acl.Limit{Flows: 1, Window: 24 * time.Hour, OnExceed: acl.Cut}
		}
		return m
	}
	a.give(sa, limited(a.full(6, []uint16{443}, b.record())))
	b.give(sb, limited(b.full(6, []uint16{443}, a.record())))
	until := time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
	near := func(x time.Time) bool { d := x.Sub(until); return d == 0 || d == 24*time.Hour } // at midnight
	a.eventually("a connection too many is refused, and status says until when", func() bool {
		if c, err := a.node.Dial(t.Context(), "tcp", "ehr:443"); err == nil {
			c.Close()
		}
		return slices.ContainsFunc(a.status().Refusals, func(r local.Refusal) bool {
			return r.Outbound && r.Reason == acl.LimitReached.String() && r.Rule == "web" && near(r.Until)
		})
	})
	e, err := a.Explain(t.Context(), local.ExplainRequest{Dst: "ehr", Port: 443})
	if err != nil || e.Allow || e.Reason != acl.LimitReached.String() || !near(e.Until) {
		t.Errorf("explained as %+v, %v", e, err)
	}
}
