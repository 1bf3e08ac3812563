//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

const (
	// relayDatagram is what is sent through a relay, in bytes.
	relayDatagram = 1280
	// relayWindow is how many of one pair are under way: enough that no side
	// waits for the other, and less than any queue drops at. An open loop would
	// measure how well an overloaded relay drops.
	relayWindow = 128
	manyPairs   = 8
)

// pair is a node that sends to another as fast as the relay takes it there.
type pair struct {
	from, to       *relayNode
	credit         chan struct{}
	sent, received atomic.Int64
}

func (r *relayBench) pair(ctx context.Context, g *group) (p *pair, err error) {
	p = &pair{credit: make(chan struct{}, relayWindow)}
	for range relayWindow {
		p.credit <- struct{}{}
	}
	if p.from, err = r.mesh.join(ctx, g, r.dialer(), nothing); err != nil {
		return nil, err
	}
	p.to, err = r.mesh.join(ctx, g, r.dialer(), func(_ *relayNode, _ key.NodePublic, datagram []byte) {
		if len(datagram) == relayDatagram {
			p.received.Add(1)
			p.credit <- struct{}{}
		}
	})
	return p, err
}

// send sends until ctx is done or the connection is lost.
func (p *pair) send(ctx context.Context) {
	datagram, to := make([]byte, relayDatagram), p.to.public()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.credit:
		}
		if !p.from.Send(to, datagram) {
			return
		}
		p.sent.Add(1)
	}
}

// arrived waits until nothing is under way any more.
func (p *pair) arrived(ctx context.Context) error {
	return until(ctx, "what a pair sent arrives", func() error {
		if sent, received := p.sent.Load(), p.received.Load(); sent != received {
			return fmt.Errorf("%d sent, %d received", sent, received)
		}
		return nil
	})
}

// carried is what a number of pairs had a relay carry: a sample for each turn.
type carried struct {
	pairs []*pair
	wall  samples // datagrams a second
	core  samples // datagrams a second of the relay's processor time
	cores samples // of them that the relay used
}

func received(pairs []*pair) (total int64) {
	for _, p := range pairs {
		total += p.received.Load()
	}
	return total
}

// turn measures, after a moment in which they come up to speed, what arrives in
// the given time.
func (c *carried) turn(ctx context.Context, pid int, length time.Duration) error {
	sending, stop := context.WithCancel(ctx)
	var g group
	defer g.wait()
	defer stop()
	for _, p := range c.pairs {
		g.start(func() { p.send(sending) })
	}
	time.Sleep(300 * time.Millisecond)
	before, err1 := cpuOf(pid)
	begin, had := time.Now(), received(c.pairs)
	time.Sleep(length)
	after, err2 := cpuOf(pid)
	wall, got := time.Since(begin), received(c.pairs)-had
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	stop()
	g.wait()
	for _, p := range c.pairs {
		if err := p.arrived(ctx); err != nil {
			return err
		}
	}
	c.wall.add(float64(got) / wall.Seconds())
	c.core.add(float64(got) / (after - before).Seconds())
	c.cores.add((after - before).Seconds() / wall.Seconds())
	return nil
}

// carry: datagrams of one pair, and of several at once, in turns.
func (r *relayBench) carry(ctx context.Context, g *group) error {
	var pairs []*pair
	for range manyPairs {
		p, err := r.pair(ctx, g)
		if err != nil {
			return err
		}
		pairs = append(pairs, p)
	}
	one, many := &carried{pairs: pairs[:1]}, &carried{pairs: pairs}
	length := pick(r.bench, 2*time.Second, time.Second)
	for range pick(r.bench, 9, 3) {
		for _, c := range []*carried{one, many} {
			if err := c.turn(ctx, r.relay.pid(), length); err != nil {
				return err
			}
		}
	}
	r.bench.results.add(append(one.rows("1 pair"), many.rows(fmt.Sprintf("%d pairs", manyPairs))...)...)
	return nil
}

func (c *carried) rows(of string) []row {
	const gigabit = 1e9 / 8 / relayDatagram // in datagrams
	of = fmt.Sprintf(", datagrams of %d bytes, %s", relayDatagram, of)
	return []row{
		c.core.middle("carried per core of the relay"+of, "1/s", nil),
		c.core.scaled(gigabit).middle("carried per core of the relay"+of, "Gbit/s", nil),
		c.wall.middle("carried, all ends on this machine"+of, "1/s", nil),
		c.wall.scaled(gigabit).middle("carried, all ends on this machine"+of, "Gbit/s", nil),
		c.cores.middle("cores that the relay used"+of, "", nil),
	}
}
