package node_test

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Whoever works is told of to the coordinator that asks for it, and is not warned of
// an end that their work moves on; of every other they are.
func TestWhoWorksIsNotWarnedOfIdleness(t *testing.T) {
	a, b, sa, sb := pair(t)
	answerAndWait(t, b, 443)
	asks := func(m wire.Map, fact acl.Fact, every time.Duration) wire.Map {
		facts := []acl.FactEnd{{Fact: fact, Until: time.Now().Add(5 * time.Minute).Truncate(time.Second)}}
		for _, rules := range []*[]acl.Rule{&m.Rules.In, &m.Rules.Out} {
			*rules = slices.Clone(*rules)
			(*rules)[0].Needs = []acl.Fact{fact}
		}
		m.Self.Facts, m.Self.ActiveEvery = facts, every
		for id, p := range m.Peers {
			p.Facts = facts
			m.Peers[id] = p
		}
		return m
	}
	revision := uint64(5)
	give := func(fact acl.Fact, every time.Duration) {
		revision++
		a.give(sa, asks(a.full(revision, []uint16{443}, b.record()), fact, every))
		b.give(sb, asks(b.full(revision, []uint16{443}, a.record()), fact, 0))
		a.eventually("the map is enforced", func() bool { return a.status().Map.Revision == revision })
	}
	const idle = "session:idle=10m0s"
	give(idle, 0)
	c, err := a.node.Dial(t.Context(), "tcp", "ehr:443")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	a.eventually("an end that nothing moves on is told", func() bool { return len(a.status().Endings) == 1 })
	if _, err := c.Write([]byte("a word")); err != nil {
		t.Fatal(err)
	}
	give(idle, time.Minute)
	a.eventually("the end that work moves on is not told", func() bool { return len(a.status().Endings) == 0 })
	a.eventually("the coordinator is told", func() bool { return len(a.c.Actives()) > 0 })
	give("mfa", time.Minute)
	a.eventually("another end is told", func() bool { return len(a.status().Endings) == 1 })
}
