package transport

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"github.com/cordonmesh/cordon/node/internal/path"
)

const (
	// restFor is how often a busy peer's traffic is noticed anew.
	restFor = time.Second
	// maxVia bounds the local addresses that are remembered. Forgetting one
	// costs nothing but a choice left to the routing table.
	maxVia = 8192
)

// Run finds and keeps paths until ctx ends; then it returns nil. It runs once.
func (t *Transport) Run(ctx context.Context) error {
	if !t.started.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer close(t.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-t.inbox:
			t.receive(d)
		case <-t.mail.wake:
		case <-timer.C:
		}
		t.turn()
		if next := t.next(); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// turn does all that there is to do. Probes come before timers: on a busy
// machine both are late, and an answer that has arrived must not be missed.
func (t *Transport) turn() {
	for n := len(t.inbox); n > 0; n-- {
		t.receive(<-t.inbox)
	}
	now := time.Now()
	tasks, wants, heard := t.mail.empty()
	for _, task := range tasks {
		task(now)
		t.perform(now, t.set.Take())
	}
	for _, v := range wants {
		t.set.Want(now, v.id)
		t.tired = append(t.tired, v)
	}
	t.takeHeard(now, heard)
	t.wakeTired(now)
	t.set.Tick(now)
	t.perform(now, t.set.Take())
}

// wakeTired lets busy peers tell again that they are.
func (t *Transport) wakeTired(now time.Time) {
	if len(t.tired) == 0 {
		return
	}
	if t.rest.IsZero() {
		t.rest = now.Add(restFor)
	}
	if now.Before(t.rest) {
		return
	}
	for _, v := range t.tired {
		v.sick.Store(false)
		v.busy.Store(false)
	}
	t.tired, t.rest = t.tired[:0], time.Time{}
}

func (t *Transport) next() time.Time {
	next := t.set.Next()
	for _, due := range []time.Time{t.rest, t.hearing.due} {
		if !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	return next
}

// receive gives a probe to the machines, and remembers where an authentic one
// came in.
func (t *Transport) receive(d datagram) {
	now, from := time.Now(), d.way()
	t.set.Receive(now, from, d.bytes())
	actions := t.set.Take()
	for _, a := range actions {
		if a.To == from && !from.Relayed() {
			t.remember(from.Addr, d.from)
			t.hearing.learn(a.Peer, from.Addr)
			break
		}
	}
	t.perform(now, actions)
}

func (t *Transport) remember(addr netip.AddrPort, ep conn.Endpoint) {
	if len(t.via) >= maxVia {
		clear(t.via)
	}
	t.via[addr] = ep
}

// toward gives a real endpoint for addr.
func (t *Transport) toward(addr netip.AddrPort, fresh bool) (conn.Endpoint, error) {
	if ep := t.via[addr]; ep != nil && !fresh {
		return ep, nil
	}
	return t.bind.inner.ParseEndpoint(addr.String())
}

func (t *Transport) perform(now time.Time, actions []path.Action) {
	for _, a := range actions {
		switch a.Do {
		case path.Send:
			t.sendProbe(a)
		case path.Moved:
			t.moved(now, a)
		case path.Answered:
			t.answered(a)
		case path.Unanswered:
			t.publish(a.Peer)
			t.pong(a.Peer, false)
		case path.Changed:
			t.publish(a.Peer)
		case path.Resized:
			t.onPath(a.Peer, t.publish(a.Peer))
		case path.Gather:
			t.onGather()
		}
	}
}

// sendProbe sends a probe. One that cannot be sent counts as lost, which the
// machine handles: the socket may be closed just now, or the network or the relay
// away.
func (t *Transport) sendProbe(a path.Action) {
	var err error
	if a.To.Relayed() {
		err = t.overRelay(a.To.Relay, t.led[a.Peer].node, [][]byte{a.Datagram})
	} else {
		err = t.sendDirect(a)
	}
	if err != nil {
		t.log.Debug("probe not sent", "peer", a.Peer, "to", a.To, "err", err)
	}
}

func (t *Transport) sendDirect(a path.Action) error {
	ep, err := t.toward(a.To.Addr, a.Fresh)
	if err == nil {
		err = t.bind.sendProbe(a.Datagram, ep, a.Whole)
	}
	if err != nil {
		delete(t.via, a.To.Addr)
	}
	return err
}

func (t *Transport) moved(now time.Time, a path.Action) {
	info, v := t.publish(a.Peer), t.led[a.Peer]
	if a.To.IsValid() {
		t.lead(now, v, a.To)
		t.log.Info("path found", "peer", a.Peer, "way", a.To, "rtt", info.RTT)
	} else {
		v.lead(nil, now)
		t.log.Info("path ended", "peer", a.Peer, "why", info.Why)
	}
	t.onPath(a.Peer, info)
}

// lead makes the path of v lead on a way, and sends the handshake message that
// waited for it.
func (t *Transport) lead(now time.Time, v *endpoint, to path.Way) {
	r, err := t.routeTo(v, to)
	if err != nil {
		v.lead(nil, now)
		t.log.Error("path cannot be used", "peer", v.id, "way", to, "err", err)
		return
	}
	held := v.lead(r, now)
	if held == nil {
		return
	}
	if to.Relayed() {
		err = t.overRelay(to.Relay, r.node, [][]byte{held})
	} else {
		err = t.bind.inner.Send([][]byte{held}, r.real)
	}
	if err != nil {
		t.log.Warn("held handshake not sent; WireGuard repeats it after 5 s", "peer", v.id, "err", err)
	}
}

// routeTo gives the route to v's peer on a way.
func (t *Transport) routeTo(v *endpoint, to path.Way) (*route, error) {
	if to.Relayed() {
		refused := fmt.Errorf("sending to %s through relay %q: %w", v.id, to.Relay, ErrNotSent)
		return &route{to: to, node: v.node, refused: refused}, nil
	}
	ep, err := t.toward(to.Addr, false)
	return &route{to: to, real: ep}, err
}

// answered renews what is known of a peer: its round-trip time, and the local
// address at which its answers come in.
func (t *Transport) answered(a path.Action) {
	t.publish(a.Peer)
	t.pong(a.Peer, true)
	v := t.led[a.Peer]
	if r := v.route.Load(); r != nil && r.to == a.To && !r.to.Relayed() {
		if ep := t.via[r.to.Addr]; ep != nil {
			v.route.CompareAndSwap(r, &route{to: r.to, real: ep})
		}
	}
}

func (t *Transport) publish(peer string) PathInfo {
	info := t.set.Info(peer)
	if v := t.led[peer]; v != nil && *v.info.Load() != info {
		v.info.Store(t.shared(info))
		v.whole.Store(wholeOf(info))
	}
	return info
}

// wholeOf is the longest datagram that a path carries whole if nobody on the way
// cuts longer ones, as on IPv4; 0: as far as we know it carries all.
func wholeOf(info PathInfo) int32 {
	if info.Way().Relayed() || !info.Endpoint.Addr().Is6() {
		return 0
	}
	return int32(info.MTU)
}

// shared gives one PathInfo to all peers that nothing is known of but how many
// addresses they have: nearly all of a large map.
func (t *Transport) shared(info PathInfo) *PathInfo {
	if info == (PathInfo{Why: path.WhyIdle, Candidates: info.Candidates}) && info.Candidates < len(t.idle) {
		return t.idle[info.Candidates]
	}
	return &info
}

// idleInfos are those, by the number of addresses.
func idleInfos() (list [path.MaxCandidates + 1]*PathInfo) {
	for n := range list {
		list[n] = &PathInfo{Why: path.WhyIdle, Candidates: n}
	}
	return list
}

// pong ends the pings that wait for a peer.
func (t *Transport) pong(peer string, ok bool) {
	for _, back := range t.pings[peer] {
		back <- pong{t.set.Info(peer), ok} // has room for the one
	}
	delete(t.pings, peer)
}

func (t *Transport) setPeers(now time.Time, peers []path.Peer, members map[string]*endpoint) {
	before := t.led
	t.led = maps.Clone(members)
	maps.Copy(t.led, before) // whose paths end now
	for _, p := range peers {
		t.led[p.ID].node = p.Node
	}
	if err := t.set.SetPeers(now, peers); err != nil {
		t.log.Error("some peers of the map cannot be reached", "err", err)
	}
	t.perform(now, t.set.Take())
	t.led = members
	for _, p := range peers {
		t.publish(p.ID)
	}
	for id := range t.pings {
		if in := t.set.Info(id); in.Why == path.WhyUnknown {
			t.pong(id, false)
		}
	}
}

func (t *Transport) networkChanged(now time.Time) {
	clear(t.via)
	for _, v := range t.led {
		v.ClearSrc()
	}
	t.set.NetworkChanged(now)
}

// trouble takes note that the kernel, or a relay, refused to send over route r:
// the path is probed at once.
func (t *Transport) trouble(now time.Time, v *endpoint, r *route) {
	if ep := t.via[r.to.Addr]; ep != nil && ep == r.real {
		delete(t.via, r.to.Addr)
	}
	t.set.Ping(now, v.id)
}
