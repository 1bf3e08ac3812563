//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/cordonmesh/cordon/integration/lab"
)

// startup: fresh nodes with a TUN join and ask; what is not permitted is
// refused; nodes start without their coordinator.
func (b *bench) startup() error {
	return b.inLab("startup", func(t lab.T) {
		count := pick(b, 20, 5)
		names := []string{"hub", "ehr"}
		for i := range count {
			names = append(names, fmt.Sprintf("new%d", i))
		}
		l := lab.Up(t, lab.Segment(names...))
		programs := lab.Build(t)
		c := programs.StartCoordinator(l.Host("hub"), netip.AddrPortFrom(l.Host("hub").Addr4(), 8443))
		c.SetPolicy(tunnelPolicy())
		ehr := programs.StartDaemon(l.Host("ehr"))
		ehr.Up(c.Token("tag:ehr"))
		at := netip.AddrPortFrom(ehr.Mesh4(), sinkPort)
		l.Host("ehr").ServeEcho(netip.AddrPortFrom(netip.IPv4Unspecified(), sinkPort))

		var joined, joining, refused, cold samples
		var nodes []*lab.Daemon
		for _, name := range names[2:] {
			d := programs.StartDaemon(l.Host(name))
			text := c.Token("nina@hospital.example")
			begin := time.Now()
			d.Up(text)
			joining.addMillis(time.Since(begin))
			must(t, answered(b.ctx, d.Host, at))
			joined.addMillis(time.Since(begin))
			took, err := refusal(b.ctx, d.Host, netip.AddrPortFrom(at.Addr(), 22))
			must(t, err)
			refused.addMillis(took)
			nodes = append(nodes, d)
		}
		for _, d := range nodes {
			must(t, d.Process.Stop(patience))
		}
		c.Process.Kill()
		for _, d := range nodes[:min(len(nodes), pick(b, 10, 3))] {
			begin := time.Now()
			d.Start()
			must(t, answered(b.ctx, d.Host, at))
			cold.addMillis(time.Since(begin))
			must(t, d.Process.Stop(patience))
		}
		b.results.add(
			joined.middle("`cordon up` to the first answer through the tunnel", "ms", atMost(500)),
			joining.middle("of which `cordon up` itself", "ms", nil),
			refused.middle("what is not permitted: until the program is told", "ms", atMost(50)),
			cold.middle("a daemon's start without coordinator to the first answer", "ms", atMost(3000)),
		)
	})
}

// answered asks as a program would that tries again when it hears nothing: each
// attempt has a fifth of a second, less than TCP takes to repeat a lost SYN.
func answered(ctx context.Context, from *lab.Host, at netip.AddrPort) error {
	return until(ctx, from.Name+" asks "+at.String(), func() error {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		conn, err := from.Dial(ctx, "tcp", at)
		if err != nil {
			return err
		}
		defer conn.Close()
		return ask(conn)
	})
}

func ask(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("?")); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}

// refusal gives how long a program waits for a no.
func refusal(ctx context.Context, from *lab.Host, at netip.AddrPort) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	begin := time.Now()
	conn, err := from.Dial(ctx, "tcp", at)
	took := time.Since(begin)
	switch {
	case err == nil:
		conn.Close()
		return took, fmt.Errorf("%s reached %s, which no rule permits", from.Name, at)
	case errors.Is(err, syscall.ECONNREFUSED):
		return took, nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return took, fmt.Errorf("%s heard nothing of its refusal by %s for %s", from.Name, at, took)
	}
	return took, fmt.Errorf("%s was refused by %s in another way: %w", from.Name, at, err)
}
