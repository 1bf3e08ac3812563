package node

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/netcheck"
	"github.com/cordonmesh/cordon/node/internal/osnet"
	"github.com/cordonmesh/cordon/node/internal/path/stun"
	"github.com/cordonmesh/cordon/node/local"
)

const (
	// checkWithin is how long a look at the network may take.
	checkWithin = 8 * time.Second
	// serversWithin is how long STUN servers are waited for. A dead one is asked
	// for longer than anybody likes to wait.
	serversWithin = 3 * time.Second
)

// Netcheck looks at this machine's network for a help desk.
func (d *daemon) Netcheck(ctx context.Context) (*local.NetcheckResponse, error) {
	_, m := (*Node)(d).current()
	if m == nil {
		return nil, errDown
	}
	return &local.NetcheckResponse{Findings: netcheck.Judge(m.observe(ctx))}, nil
}

func (m *mesh) observe(ctx context.Context) netcheck.Observed {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	o := netcheck.Observed{Only443: m.node.cfg.Only443, NoMapping: m.node.cfg.NoPortMapping, Mapping: m.mapper.Status()}
	var looks sync.WaitGroup
	for _, look := range []func(){
		func() { o.STUN = m.askServers(ctx) },
		func() { o.Host = m.findCoordinator(ctx) },
		func() { o.Relays = m.lookAtRelays(ctx) },
	} {
		looks.Go(look)
	}
	looks.Wait()
	o.Local, _ = m.local()
	if c, err := osnet.ListCandidates([]string{m.node.cfg.Interface}); err == nil {
		o.Alone = len(c.Addresses) == 0
	}
	o.Ahead, o.ClockAlarm = m.node.clock.Alarm()
	for _, p := range m.transport.Paths() {
		way := p.Way()
		o.Paths = append(o.Paths, netcheck.Path{Direct: way.IsValid() && !way.Relayed(), Relayed: way.Relayed(), MTU: p.InnerMTU()})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o.Coordinator = netcheck.Coordinator{URL: m.identity.URL, Connected: m.connected, Impostor: errors.Is(m.contact, wire.ErrCoordinator), Err: m.contact, Heard: m.heard}
	return o
}

// askServers asks all STUN servers anew, and waits for them.
func (m *mesh) askServers(ctx context.Context) stun.Report {
	if m.node.cfg.Only443 {
		return stun.Report{}
	}
	began := time.Now()
	m.gatherer.Ask()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < serversWithin {
		select {
		case <-ctx.Done():
			return m.gatherer.Report()
		case <-tick.C:
		}
		r := m.gatherer.Report()
		waiting := func(a stun.Asked) bool { return a.At.Before(began) && !a.Failed }
		if !slices.ContainsFunc(slices.Concat(r.V4.Servers, r.V6.Servers), waiting) {
			return r
		}
	}
	return m.gatherer.Report()
}

func (m *mesh) findCoordinator(ctx context.Context) (h netcheck.Host) {
	u, err := url.Parse(m.identity.URL)
	if err != nil {
		return netcheck.Host{Name: m.identity.URL, Err: err}
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return h
	}
	h.Name = u.Hostname()
	began := time.Now()
	h.Addrs, h.Err = m.resolver().LookupNetIP(ctx, "ip", h.Name)
	h.Took = time.Since(began)
	return h
}

func (m *mesh) lookAtRelays(ctx context.Context) (out []netcheck.Relay) {
	for _, r := range m.relays.Look(ctx) {
		out = append(out, netcheck.Relay{Name: r.Name, URL: r.URL, Home: r.Home, Connected: r.Connected, Looked: r.Measured, Err: r.Err})
	}
	return out
}
