//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/relay"
)

// relayFrame is what a datagram is on its way to a relay, in bytes.
const relayFrame = relay.HeaderSize + key.Size + relayDatagram

// delays are round trips at shares of them, in microseconds.
type delays struct{ middle, late delay }

// delay has a sample for each turn: both ways side by side, and their difference.
// Of all turns together the last hundredth would be the moments in which this
// machine did something else.
type delay struct {
	share                 float64
	relay, direct, differ samples
}

func (d *delay) take(relay, direct samples) {
	d.relay.add(relay.at(d.share))
	d.direct.add(direct.at(d.share))
	d.differ.add(relay.at(d.share) - direct.at(d.share))
}

// delays sends a datagram to another node of this process and back, and as many
// bytes over one bare TLS connection and back, by turns.
func (r *relayBench) delays(ctx context.Context, address string) (*delays, error) {
	ctx, cancel := context.WithCancel(ctx)
	var g group
	defer g.wait()
	defer cancel()
	relayed, err := r.relayedRound(ctx, &g)
	if err != nil {
		return nil, err
	}
	direct, err := directRound(ctx, address)
	if err != nil {
		return nil, err
	}
	d := &delays{middle: delay{share: 0.5}, late: delay{share: 0.99}}
	for turn := range pick(r.bench, 31, 6) {
		var a, b samples
		for range 500 {
			if err := errors.Join(timed(relayed, &a), timed(direct, &b)); err != nil {
				return nil, err
			}
		}
		if turn > 0 { // the first one warms up
			d.middle.take(a, b)
			d.late.take(a, b)
		}
	}
	return d, nil
}

func timed(round func() error, took *samples) error {
	begin := time.Now()
	err := round()
	took.add(float64(time.Since(begin)) / float64(time.Microsecond))
	return err
}

// relayedRound gives a function that sends one datagram to another node, which
// sends it back.
func (r *relayBench) relayedRound(ctx context.Context, g *group) (func() error, error) {
	back := make(chan struct{}, 1)
	far, err := r.mesh.join(ctx, g, r.dialer(), func(n *relayNode, from key.NodePublic, datagram []byte) { n.Send(from, datagram) })
	if err != nil {
		return nil, err
	}
	near, err := r.mesh.join(ctx, g, r.dialer(), func(*relayNode, key.NodePublic, []byte) { back <- struct{}{} })
	if err != nil {
		return nil, err
	}
	datagram, to, late := make([]byte, relayDatagram), far.public(), time.NewTimer(patience)
	return func() error {
		late.Reset(patience)
		if !near.Send(to, datagram) {
			return errors.New("the relay is not connected")
		}
		select {
		case <-back:
			return nil
		case <-late.C:
			return fmt.Errorf("a datagram through the relay: %w", errLost)
		}
	}, nil
}

// directRound gives a function that sends the bytes of a datagram's frame over
// one connection, and reads as many.
func directRound(ctx context.Context, address string) (func() error, error) {
	s, err := bareDialer("https://" + address).Open(ctx)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { s.Close() })
	exchange := func(b []byte) error {
		if _, err := s.Write(b); err != nil {
			return err
		}
		_, err := io.ReadFull(s, b)
		return err
	}
	return func() error { return exchange(make([]byte, relayFrame)) }, exchange(make([]byte, 1)) // the other end's first byte
}

func (d *delays) rows(among, why string) (rows []row) {
	for _, one := range []delay{d.middle, d.late} {
		of := fmt.Sprintf("p%.0f of 500 round trips, %%s, %s", one.share*100, among)
		rows = append(rows,
			one.direct.middle(fmt.Sprintf(of, "one TLS connection"), "us", nil),
			one.relay.middle(fmt.Sprintf(of, "through the relay"), "us", nil),
			one.differ.middle(fmt.Sprintf(of, "added by the relay"), "us", nil))
	}
	for i := range rows {
		rows[i].Note = why
	}
	return rows
}
