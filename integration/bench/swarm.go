//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

const (
	swarmGroups = 10 // of users, each of which reaches the servers of one tag
	swarmUsers  = 20

	// settle is how long a process is left alone before its memory is read.
	settle = 4 * time.Second
	// quiet is how long nothing must arrive for a change to be over.
	quiet = 60 * time.Millisecond
)

// swarm: many simulated nodes on one coordinator. Nine of ten are laptops, the
// tenth a server of one of ten kinds that a tenth of the laptops may reach.
func (b *bench) swarm() error {
	count := pick(b, 1000, 200)
	ctx, cancel := context.WithCancel(b.ctx)
	var g group
	defer g.wait()
	defer cancel()
	s := &swarm{bench: b, dir: filepath.Join(b.dir, "coordinator"), owners: map[string]wire.Enrolment{}}
	if err := s.begin(ctx, &g); err != nil {
		return err
	}
	defer func() { s.coordinator.end(); s.api.Close() }()
	if err := s.populate(ctx, &g, count); err != nil {
		return fmt.Errorf("%w: %s", err, s.coordinator.lastWords())
	}
	steps := []func(context.Context, *group) error{s.joins, s.parts, s.edits, s.comments}
	if !b.quick {
		steps = append(steps, s.flat)
	}
	for _, step := range steps {
		if err := step(ctx, &g); err != nil {
			return fmt.Errorf("%w: %s", err, s.coordinator.lastWords())
		}
	}
	return nil
}

// swarm is a coordinator on loopback, and those who follow it.
type swarm struct {
	bench       *bench
	dir         string
	address     string
	flags       []string // more of the coordinator's
	coordinator *child
	api         *admin.Client
	owners      map[string]wire.Enrolment // enrolment strings by "tag:..." or user
	agents      []*agent
	traffic     traffic
	joined      int
}

// begin makes the mesh, its policy and a token of many uses for every owner.
func (s *swarm) begin(ctx context.Context, g *group) (err error) {
	if s.address, err = freeAddress(); err != nil {
		return err
	}
	program := filepath.Join(s.bench.bin, "cordon-coordinator")
	if _, err := tool(ctx, program, "init", "--state", s.dir, "--url", "https://"+s.address); err != nil {
		return err
	}
	s.api = admin.NewSocketClient(filepath.Join(s.dir, "admin.sock"))
	if err := s.serve(ctx, g); err != nil {
		return err
	}
	if err := s.set(ctx, swarmPolicy("443")); err != nil {
		return err
	}
	for i := range swarmUsers {
		err = errors.Join(err, s.token(ctx, fmt.Sprintf("u%d@h.example", i)))
	}
	for i := range swarmGroups {
		err = errors.Join(err, s.token(ctx, fmt.Sprintf("tag:s%d", i)))
	}
	return err
}

// serve starts the coordinator, for the first time or again.
func (s *swarm) serve(ctx context.Context, g *group) (err error) {
	program := filepath.Join(s.bench.bin, "cordon-coordinator")
	s.coordinator, err = s.bench.launch(g, "coordinator", program, append([]string{"serve", "--state", s.dir, "--listen", s.address, "--log-level", "warn"}, s.flags...)...)
	if err != nil {
		return err
	}
	return until(ctx, "the coordinator answers", func() error {
		_, err := s.api.Status(ctx, connect.NewRequest(&admin.StatusRequest{}))
		return err
	})
}

func (s *swarm) set(ctx context.Context, text string) error {
	_, err := s.api.SetPolicy(ctx, connect.NewRequest(&admin.SetPolicyRequest{Text: text, File: "swarm.hujson"}))
	if err != nil {
		return fmt.Errorf("set the policy: %w", err)
	}
	return nil
}

func (s *swarm) token(ctx context.Context, owner string) error {
	r := &admin.CreateTokenRequest{Kind: admin.TokenKind_TOKEN_KIND_ENROL, Uses: 1000}
	if strings.HasPrefix(owner, "tag:") {
		r.Tags = []string{owner}
	} else {
		r.User = owner
	}
	resp, err := s.api.CreateToken(ctx, connect.NewRequest(r))
	if err != nil {
		return fmt.Errorf("make a token for %s: %w", owner, err)
	}
	s.owners[owner], err = wire.ParseEnrolment(resp.Msg.Text)
	return err
}

// swarmPolicy has 50 rules, ten of which matter, on the given port.
func swarmPolicy(port string) string {
	var b strings.Builder
	b.WriteString("{\"groups\": {\n")
	for i := range swarmGroups {
		fmt.Fprintf(&b, "\"group:g%d\": [\"u%d@h.example\", \"u%d@h.example\"],\n", i, i, i+swarmGroups)
	}
	b.WriteString("}, \"tagOwners\": {\n")
	for i := range swarmGroups {
		fmt.Fprintf(&b, "\"tag:s%d\": [],\n", i)
	}
	b.WriteString("}, \"grants\": [\n")
	for i := range swarmGroups {
		fmt.Fprintf(&b, "{\"id\": \"r%d\", \"src\": [\"group:g%d\"], \"dst\": [\"tag:s%d\"], \"ip\": [\"tcp:%s\"]},\n", i, i, i, port)
		for j := range 4 {
			fmt.Fprintf(&b, "{\"src\": [\"group:g%d\"], \"dst\": [\"tag:s%d\"], \"ip\": [\"tcp:%d\"]},\n", i, i, 9000+10*i+j)
		}
	}
	b.WriteString("]}\n")
	return b.String()
}

// newcomer makes a node that has not enrolled yet.
func (s *swarm) newcomer(owner string) *agent {
	s.joined++
	return newAgent(fmt.Sprintf("host-%d", s.joined), s.owners[owner], &s.traffic)
}

// populate enrols all, starts the coordinator anew and lets them follow: what
// its memory grows by then is what connected nodes take.
func (s *swarm) populate(ctx context.Context, g *group, count int) error {
	for i := range count {
		owner := fmt.Sprintf("u%d@h.example", (i-i/10)%swarmUsers)
		if i%10 == 9 {
			owner = fmt.Sprintf("tag:s%d", i/10%swarmGroups)
		}
		s.agents = append(s.agents, s.newcomer(owner))
	}
	err := inParallel(count, func(i int) error {
		defer s.agents[i].hangUp()
		return s.agents[i].enrol(ctx)
	})
	if err != nil {
		return err
	}
	s.coordinator.end()
	if err := s.serve(ctx, g); err != nil {
		return err
	}
	return s.connect(ctx, g)
}

// connect lets all follow, and compares what each takes with what it takes of a
// server that does nothing.
func (s *swarm) connect(ctx context.Context, g *group) error {
	count := len(s.agents)
	time.Sleep(settle)
	before, err := measureProcess(s.coordinator.pid())
	if err != nil {
		return err
	}
	if err := inParallel(count, func(i int) error { return s.agents[i].connect(ctx, g) }); err != nil {
		return err
	}
	time.Sleep(settle)
	after, err := measureProcess(s.coordinator.pid())
	if err != nil {
		return err
	}
	bare, err := s.bench.bareStreams(ctx, count)
	if err != nil {
		return err
	}
	ours := (after.megabytes - before.megabytes) * 1000 / float64(count)
	cpu := (after.cpu - before.cpu) / time.Duration(count)
	s.bench.results.add(
		row{What: fmt.Sprintf("coordinator with %d nodes enrolled, none connected", count), Value: before.megabytes, Unit: "MB"},
		row{What: fmt.Sprintf("coordinator with %d nodes connected", count), Value: after.megabytes, Unit: "MB"},
		row{What: "memory per connected node, coordinator", Value: ours, Unit: "kB"},
		row{What: "memory per connection, bare net/http mutual-TLS stream", Value: bare.kilobytes, Unit: "kB"},
		row{What: "memory per connected node, ours to bare", Value: ours / bare.kilobytes, Unit: "x", Gate: atMost(1.5)},
		row{What: "CPU for all to connect at once, each, coordinator", Value: cpu.Seconds() * 1000, Unit: "ms"},
		row{What: "CPU for all to connect at once, each, bare", Value: bare.cpu.Seconds() * 1000, Unit: "ms"},
	)
	return nil
}
