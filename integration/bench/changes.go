//go:build linux

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

// effect is what one change cost the coordinator.
type effect struct {
	cpu      time.Duration
	maps     int64 // Fulls and Deltas that went out
	bytes    int64 // that nodes received, on their sockets
	mapBytes int64 // of maps and hints alone
}

// watch makes a change and gives what happened until nothing more arrives.
func (s *swarm) watch(ctx context.Context, change func() error) (e effect, err error) {
	before, err := cpuOf(s.coordinator.pid())
	if err != nil {
		return e, err
	}
	t := &s.traffic
	maps, bytes, mapBytes := t.maps.Load(), t.bytes.Load(), t.mapBytes.Load()
	if err := change(); err != nil {
		return e, err
	}
	for still := t.bytes.Load(); ; still = t.bytes.Load() {
		select {
		case <-ctx.Done():
			return e, ctx.Err()
		case <-time.After(quiet):
		}
		if t.bytes.Load() == still {
			break
		}
	}
	after, err := cpuOf(s.coordinator.pid())
	e.cpu, e.maps, e.bytes, e.mapBytes = after-before, t.maps.Load()-maps, t.bytes.Load()-bytes, t.mapBytes.Load()-mapBytes
	return e, err
}

// join lets one more node of the owner enrol, follow, report and acknowledge.
func (s *swarm) join(ctx context.Context, g *group, owner string) (effect, error) {
	a := s.newcomer(owner)
	e, err := s.watch(ctx, func() error {
		if err := a.enrol(ctx); err != nil {
			return err
		}
		return a.connect(ctx, g)
	})
	s.agents = append(s.agents, a)
	return e, err
}

// joins: one more laptop, and one more server, with few and with many peers.
func (s *swarm) joins(ctx context.Context, g *group) error {
	for _, kind := range []struct{ what, owner string }{{"laptop", "u0@h.example"}, {"server", "tag:s0"}} {
		if err := s.joinRows(ctx, g, "a "+kind.what+" joins", kind.owner, pick(s.bench, 20, 10)); err != nil {
			return err
		}
	}
	return nil
}

func (s *swarm) joinRows(ctx context.Context, g *group, what, owner string, count int) error {
	var cpu, affected, bytes samples
	nodes := len(s.agents)
	for range count {
		e, err := s.join(ctx, g, owner)
		if err != nil {
			return err
		}
		cpu.addMillis(e.cpu)
		affected.add(float64(e.maps - 1)) // the newcomer's own is no peer's
		bytes.add(float64(e.bytes))
	}
	peers := affected.median()
	what = fmt.Sprintf("%s %d nodes, %s peers affected", what, nodes, figure(peers))
	s.bench.results.add(
		cpu.middle(what+": coordinator CPU", "ms", atMost(3+0.030*peers)),
		bytes.middle(what+": bytes to all nodes", "B", nil),
	)
	return s.late(ctx, what)
}

// late: what peers may acknowledge up to half a minute after joins, once for all
// of them, told now. A lone join costs this much besides.
func (s *swarm) late(ctx context.Context, what string) error {
	var count atomic.Int64
	e, err := s.watch(ctx, func() error {
		return inParallel(len(s.agents), func(i int) error {
			if s.agents[i].kept.Load() != nil {
				count.Add(1)
			}
			return s.agents[i].acknowledgeKept(ctx)
		})
	})
	if count.Load() > 0 {
		s.bench.results.add(row{What: what + ": peers' acknowledgements, within half a minute, coordinator CPU", Value: e.cpu.Seconds() * 1000, Unit: "ms",
			Note: fmt.Sprintf("%d, one for all joins of that time", count.Load())})
	}
	return err
}

// parts: what of a join's cost goes where. Apart from each other they cost a
// little more than together.
func (s *swarm) parts(ctx context.Context, g *group) error {
	var enrol, follow, report samples
	for range pick(s.bench, 10, 5) {
		a := s.newcomer("tag:s0")
		s.agents = append(s.agents, a)
		for _, part := range []struct {
			cost *samples
			do   func() error
		}{
			{&enrol, func() error { return a.enrol(ctx) }},
			{&follow, func() error { return a.follow(ctx, g) }},
			{&report, func() error { return a.report(ctx) }},
		} {
			e, err := s.watch(ctx, part.do)
			if err != nil {
				return err
			}
			part.cost.addMillis(e.cpu)
		}
	}
	s.bench.results.add(
		enrol.middle("of a server's join: its enrolment", "ms", nil),
		follow.middle("of a server's join: its stream, its map and its acknowledgement", "ms", nil),
		report.middle("of a server's join: its report, and a Delta with a hint to each peer", "ms", nil),
	)
	return nil
}

// edits: a policy that touches every node, until the last has acknowledged it.
func (s *swarm) edits(ctx context.Context, _ *group) error {
	var last, cpu, bytes samples
	for i := range pick(s.bench, 10, 4) {
		var took time.Duration
		e, err := s.watch(ctx, func() (err error) {
			took, err = s.editAll(ctx, swarmPolicy([]string{"8443", "443"}[i%2]))
			return err
		})
		if err != nil {
			return err
		}
		last.addMillis(took)
		cpu.addMillis(e.cpu)
		bytes.add(float64(e.bytes))
	}
	what := fmt.Sprintf("an edit for all of %d nodes", len(s.agents))
	s.bench.results.add(
		last.middle(what+": asked to last acknowledgement", "ms", atMost(5000)),
		cpu.middle(what+": coordinator CPU", "ms", nil),
		bytes.middle(what+": bytes to all nodes", "B", nil),
	)
	return nil
}

// editAll sets a policy that changes every node's rules, and waits for all.
func (s *swarm) editAll(ctx context.Context, text string) (time.Duration, error) {
	begin := time.Now()
	resp, err := s.api.SetPolicy(ctx, connect.NewRequest(&admin.SetPolicyRequest{Text: text, File: "swarm.hujson"}))
	if err != nil {
		return 0, fmt.Errorf("set the policy: %w", err)
	}
	// All to all is a million records, which the nodes decode on these processors too.
	err = within(ctx, 4*patience, "every node has acknowledged", func() error {
		for _, a := range s.agents {
			if err := a.stands(resp.Msg.Revision); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
		}
		return nil
	})
	return time.Since(begin), err
}

// comments: an edit that changes nothing must send nothing.
func (s *swarm) comments(ctx context.Context, _ *group) error {
	var sent, cpu samples
	resp, err := s.api.GetPolicy(ctx, connect.NewRequest(&admin.GetPolicyRequest{}))
	if err != nil {
		return err
	}
	for i := range 5 {
		e, err := s.watch(ctx, func() error {
			return s.set(ctx, fmt.Sprintf("// comment %d\n%s", i, resp.Msg.Text))
		})
		if err != nil {
			return err
		}
		sent.add(float64(e.mapBytes))
		cpu.addMillis(e.cpu)
	}
	worst := sent.middle("a comment in the policy: bytes of maps and hints to nodes", "B", nil)
	worst.Value, worst.Gate = sent.at(1), atMost(0)
	s.bench.results.add(worst, cpu.middle("a comment in the policy: coordinator CPU", "ms", nil))
	return nil
}

// flat: the worst policy, where everybody may reach everybody.
func (s *swarm) flat(ctx context.Context, g *group) error {
	var took time.Duration
	e, err := s.watch(ctx, func() (err error) {
		took, err = s.editAll(ctx, openToAll())
		return err
	})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("a policy that opens all of %d nodes to all", len(s.agents))
	s.bench.results.add(
		row{What: what + ": asked to last acknowledgement", Value: float64(took.Milliseconds()), Unit: "ms", Note: "the nodes' own work on these processors included"},
		row{What: what + ": coordinator CPU", Value: float64(e.cpu.Milliseconds()), Unit: "ms"},
		row{What: what + ": bytes to all nodes", Value: float64(e.bytes) / 1e6, Unit: "MB"},
	)
	return s.joinRows(ctx, g, "a laptop joins, all open to all,", "u0@h.example", 10)
}

func openToAll() string {
	text := `{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}], "tagOwners": {`
	for i := range swarmGroups {
		text += fmt.Sprintf("%q: [], ", fmt.Sprintf("tag:s%d", i))
	}
	return text + "}}"
}
