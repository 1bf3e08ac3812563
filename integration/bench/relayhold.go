//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hold: nodes that only stand, beside as many bare connections that stand: what
// both weigh while they become more, and how long a datagram takes among them.
func (r *relayBench) hold(ctx context.Context, g *group) error {
	want := pick(r.bench, 10_000, 1000)
	count, why := fits(want)
	bare, address, err := r.bare(ctx, g)
	if err != nil {
		return err
	}
	quiet, err := r.delays(ctx, address)
	if err != nil {
		return err
	}
	if err := r.grow(ctx, g, bare, address, count, why); err != nil {
		return err
	}
	crowded, err := r.delays(ctx, address)
	if err != nil {
		return err
	}
	stood, err := r.clients(ctx)
	if err != nil {
		return err
	}
	if stood < count {
		return fmt.Errorf("%d nodes stand at the relay at the end, want %d", stood, count)
	}
	r.bench.results.add(quiet.rows("nobody else there", "")...)
	r.bench.results.add(crowded.rows(fmt.Sprintf("%d idle connections", count), why)...)
	return nil
}

// fits tells how many connections this machine can hold at a relay and at a bare
// server beside it, and what the limit is if that is fewer.
func fits(want int) (count int, why string) {
	const (
		spare = 500 // files and ports for all else
		each  = 0.5 // MB, for both connections with all four ends, and to spare
	)
	count = want
	limit := func(n int, what string) {
		if n < count {
			count, why = n, fmt.Sprintf("%s not for %d", what, want)
		}
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		limit(int(min(files.Max, 1<<30))-spare, "the limit of open files is")
	}
	var low, high int
	if n, _ := fmt.Sscan(firstWords("/proc/sys/net/ipv4/ip_local_port_range", 2), &low, &high); n == 2 {
		limit(high-low-spare, "there are local ports,")
	}
	if memory, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(memory)) {
			var kib float64
			if n, _ := fmt.Sscanf(line, "MemAvailable: %f kB", &kib); n == 1 {
				limit(int(kib/1024/each), "memory is")
			}
		}
	}
	return count, why
}

// bare starts a server of bare connections.
func (r *relayBench) bare(ctx context.Context, g *group) (server *child, address string, err error) {
	if address, err = freeAddress(); err != nil {
		return nil, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	if server, err = r.launch(g, "upgraded", self, "-role", roleUpgraded, address); err != nil {
		return nil, "", err
	}
	return server, address, until(ctx, "the bare server answers", func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// grow has nodes and bare connections come in turns, a tenth at a time. How much
// memory a process has beyond what it needs depends on when its collector last
// ran, so the comparison is made at each step.
func (r *relayBench) grow(ctx context.Context, g *group, bare *child, address string, count int, why string) error {
	const steps = 10
	sides := []*growth{
		{name: "relay", pid: r.relay.pid(), crowd: crowd{URL: "https://" + r.address, Pin: r.pin, Root: r.mesh.root.Secret()}},
		{name: "bare", pid: bare.pid(), crowd: crowd{URL: "https://" + address}},
	}
	time.Sleep(settle)
	for _, s := range sides {
		if err := s.begin(); err != nil {
			return err
		}
	}
	for i := range steps {
		for _, s := range sides {
			s.crowd.Count = count*(i+1)/steps - count*i/steps
			if err := r.stand(ctx, g, fmt.Sprintf("crowd-%s-%d", s.name, i), s.crowd); err != nil {
				return err
			}
		}
		time.Sleep(pick(r.bench, settle/2, settle/4))
		for _, s := range sides {
			if err := s.weigh(count * (i + 1) / steps); err != nil {
				return err
			}
		}
	}
	r.bench.results.add(growthRows(sides[0], sides[1], count, why)...)
	return nil
}

// growth is a server to which connections come.
type growth struct {
	name          string
	pid           int
	crowd         crowd
	before, after used
	each          samples // kB a connection, after each step
}

func (s *growth) begin() (err error) {
	s.before, err = measureProcess(s.pid)
	return err
}

func (s *growth) weigh(count int) (err error) {
	s.after, err = measureProcess(s.pid)
	s.each.add((s.after.megabytes - s.before.megabytes) * 1000 / float64(count))
	return err
}

func (s *growth) cpu(count int) float64 {
	return (s.after.cpu - s.before.cpu).Seconds() * 1000 / float64(count)
}

func growthRows(ours, bare *growth, count int, why string) []row {
	ratio := ratios(ours.each, bare.each).middle(fmt.Sprintf("memory per idle connection, ours to bare, up to %d", count), "x", atMost(1.5))
	ratio.Note = why
	return []row{
		{What: "relay without connections", Value: ours.before.megabytes, Unit: "MB"},
		{What: fmt.Sprintf("relay with %d idle connections", count), Value: ours.after.megabytes, Unit: "MB", Note: why},
		ours.each.middle("memory per idle connection, relay", "kB", nil),
		bare.each.middle("memory per idle connection, bare hijacked TLS", "kB", nil),
		ratio,
		{What: "CPU for one to connect, and stand, relay", Value: ours.cpu(count), Unit: "ms"},
		{What: "CPU for one to connect, and stand, bare", Value: bare.cpu(count), Unit: "ms"},
	}
}
