package node_test

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/local"
)

// The local API tells of an open connection that its right ends, and once that has
// ended, until when it goes on.
func TestStatusTellsWhatEnds(t *testing.T) {
	a, b, sa, sb := pair(t)
	answerAndWait(t, b, 443)
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	warded := func(m wire.Map, facts ...acl.FactEnd) wire.Map {
		for _, rules := range []*[]acl.Rule{&m.Rules.In, &m.Rules.Out} {
			*rules = slices.Clone(*rules)
			(*rules)[0].Needs, (*rules)[0].Drain = []acl.Fact{"login"}, time.Hour
		}
		m.Self.Facts = facts
		for id, p := range m.Peers {
			p.Facts = facts
			m.Peers[id] = p
		}
		return m
	}
	login := acl.FactEnd{Fact: "login", Until: end}
	a.give(sa, warded(a.full(6, []uint16{443}, b.record()), login))
	b.give(sb, warded(b.full(6, []uint16{443}, a.record()), login))
	c, err := a.node.Dial(t.Context(), "tcp", "ehr:443")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	near := func(x, y time.Time) bool { return x.Sub(y).Abs() < 5*time.Second }
	told := func(m *machine) (e local.Ending) {
		if all := m.status().Endings; len(all) == 1 {
			e = all[0]
		}
		return e
	}
	for _, m := range []*machine{a, b} {
		m.eventually("status tells when it ends", func() bool {
			e := told(m)
			return e.Outbound == (m == a) && e.Dst.String() == "100.64.0.2:443" && e.Src.String() == "100.64.0.1" && e.Protocol == "tcp" && e.Flows == 1 &&
				e.Rule == "web" && e.Reason == acl.FactEnded.String() && near(e.End, end) && near(e.Cut, end.Add(time.Hour))
		})
	}
	a.give(sa, warded(a.full(7, []uint16{443}, b.record())))
	a.eventually("status tells that it drains", func() bool {
		e := told(a)
		return e.End.IsZero() && near(e.Cut, time.Now().Add(time.Hour)) && e.Rule == "web"
	})
}

// answerAndWait says one byte to who comes, and leaves the connection open.
func answerAndWait(t *testing.T, m *machine, port uint16) {
	t.Helper()
	l, err := m.node.Listen("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			c.Write([]byte{1})
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}
