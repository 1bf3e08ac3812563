package userspace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/node/internal/plane"
)

// idleAfter is how long nothing authentic must have gone to or come from a peer
// for it to be removed: a session's life of 180 s, and 30 s for what was under way
// to the other end, which counts from when it came there.
const idleAfter = 210 * time.Second

// keep gives wireguard-go those peers of the map that are needed, until the plane
// ends.
func (p *Plane) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.device.Wait():
			return
		case <-p.guard.lobby.bell:
			for _, m := range p.guard.lobby.called() {
				p.fetch(m)
			}
		case i := <-p.reception.came:
			p.receive(i)
		case <-p.reception.news:
			for _, i := range p.reception.again() {
				p.receive(i)
			}
		}
	}
}

// fetch starts a peer that packets wait for, if it can be reached.
func (p *Plane) fetch(m *member) {
	if p.way == nil || p.way(m.id) {
		p.try(m)
	}
}

// Found says that there is a path to a peer.
func (p *Plane) Found(id string) {
	if m := p.guard.roster.Load().byID[id]; m != nil {
		p.guard.lobby.recall(m)
	}
}

// receive hands an initiation on to wireguard-go, which has its sender as a peer
// then. What comes again ends here, and so does what comes from nobody in the map,
// unless the next map names its sender.
func (p *Plane) receive(i initiation) {
	o := p.reception.opener.Load()
	c, ok := o.read(i.data[:])
	if !ok {
		return
	}
	m := p.guard.roster.Load().byKey[c.by]
	if m == nil {
		p.reception.keep(i)
		return
	}
	at, ok := o.prove(&c)
	if !ok {
		return
	}
	p.mu.Lock()
	fresh := at.After(m.stamp)
	if fresh {
		m.stamp = at
	}
	p.mu.Unlock()
	if fresh && p.try(m) {
		p.reception.pass(i)
	}
}

func (p *Plane) try(m *member) bool {
	err := p.start(m)
	if err != nil && p.ended() == nil {
		p.log.Error("a peer cannot be given to wireguard-go", "peer", m.id, "error", err)
	}
	return err == nil
}

// errLeft means that a peer has left the map.
var errLeft = errors.New("the peer is not in the map any more")

// start makes a peer of the map one of wireguard-go, if it is none yet, and sends
// on what waits for it.
func (p *Plane) start(m *member) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.guard.roster.Load().has(m) {
		return errLeft
	}
	if m.tunnel == nil {
		if err := p.create(m); err != nil {
			return err
		}
	}
	m.tunnel.leaving = false
	if p.guard.lobby.arrive(m) {
		p.guard.wake()
	}
	return nil
}

func (p *Plane) create(m *member) error {
	var text strings.Builder
	create(&text, m)
	if err := p.device.IpcSet(text.String()); err != nil {
		var half strings.Builder
		remove(&half, m.key)
		return errors.Join(fmt.Errorf("add peer %s to wireguard-go: %w", m.id, redact(err)), p.set("clear", half.String()))
	}
	p.applied.begin(m)
	return nil
}

// retire removes the tunnels that have not been used for long.
func (p *Plane) retire(now time.Time) {
	p.guard.lobby.expire(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guard.alarm == nil || len(p.applied.tunnels) == 0 {
		return
	}
	seen, err := p.tunnelStats()
	if err != nil {
		p.log.Error("idle peers keep their memory: wireguard-go does not say which are in use", "error", err)
		return
	}
	for m := range p.applied.tunnels {
		if m.stock == nil {
			p.review(m, seen[m.key], now)
		}
	}
}

// review takes note of what a tunnel carried, and removes it at the second look at
// which it has been idle for so long.
func (p *Plane) review(m *member, seen plane.PeerStats, now time.Time) {
	t := m.tunnel
	switch {
	case seen != t.seen:
		t.seen, t.used = seen, now
		if t.leaving {
			t.leaving = false
			p.guard.lobby.arrive(m)
		}
	case t.leaving:
		var text strings.Builder
		remove(&text, m.key)
		if p.set("thin out", text.String()) == nil {
			p.applied.end(m)
		}
	case now.Sub(t.used) >= idleAfter:
		t.leaving = true
		p.guard.lobby.bar(m)
	}
}
