package gather

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path/stun"
)

// Run gathers until ctx ends; then it returns nil, and nothing that it started is
// left. It runs once.
func (g *Gatherer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer g.running.Wait()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-g.inbox:
			g.machine.Receive(time.Now(), a.from, a.data[:a.len])
		case found := <-g.found:
			g.resolve(time.Now(), found)
		case <-g.wake:
		case <-timer.C:
		}
		now := time.Now()
		g.turn(ctx, now)
		if next := g.next(); !next.IsZero() {
			timer.Reset(next.Sub(now))
		}
	}
}

// turn does all that there is to do.
func (g *Gatherer) turn(ctx context.Context, now time.Time) {
	g.take(now)
	if g.again != 0 && now.Sub(g.looked) >= g.again {
		g.look(ctx, now)
	}
	if !g.until.IsZero() && !now.Before(g.until) {
		g.until = time.Time{}
	}
	g.machine.SetWanted(now, !g.until.IsZero())
	g.machine.Tick(now)
	for _, a := range g.machine.Take() {
		if a.Do != stun.Send {
			continue
		}
		if err := g.cfg.Send(a.To, a.Datagram); err != nil {
			g.cfg.Log.Debug("STUN request not sent", "to", a.To, "error", err)
		}
	}
	g.publish()
}

// take hears what others have said since the last turn.
func (g *Gatherer) take(now time.Time) {
	g.mu.Lock()
	servers, asked, wanted, moved := g.servers, g.asked, g.wanted, g.moved
	g.asked, g.wanted, g.moved = false, false, false
	g.mu.Unlock()
	if moved {
		local, err := g.cfg.Local()
		if err != nil {
			g.cfg.Log.Warn("listing this machine's addresses failed", "error", err)
		}
		g.local, g.looking = local, true
		g.machine.NetworkChanged(now, local)
	}
	if !slices.Equal(servers, g.resolved) {
		g.resolved = servers
		g.looked, g.again = time.Time{}, lookEvery
	}
	if wanted {
		g.until = now.Add(wantedFor)
	}
	if asked {
		g.machine.Ask(now)
	}
}

// look has the servers' names resolved, aside.
func (g *Gatherer) look(ctx context.Context, now time.Time) {
	g.looked, g.again = now, 0
	hosts := map[string]bool{}
	for _, s := range g.resolved {
		hosts[s.Host] = true
	}
	g.running.Go(func() {
		select {
		case g.found <- g.lookup(ctx, slices.Collect(maps.Keys(hosts))):
		case <-ctx.Done():
		}
	})
}

// lookup resolves names, all at once.
func (g *Gatherer) lookup(ctx context.Context, hosts []string) map[string][]netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	var all sync.WaitGroup
	at := make([][]netip.Addr, len(hosts))
	for i, host := range hosts {
		if a, err := netip.ParseAddr(host); err == nil {
			at[i] = []netip.Addr{a}
			continue
		}
		all.Go(func() {
			var err error
			if at[i], err = g.cfg.Lookup(ctx, host); err != nil {
				g.cfg.Log.Debug("STUN server not found", "host", host, "error", err)
			}
		})
	}
	all.Wait()
	found := map[string][]netip.Addr{}
	for i, host := range hosts {
		if len(at[i]) > 0 {
			found[host] = at[i]
		}
	}
	return found
}

// resolve takes what was found. Who was not found keeps the addresses of before.
func (g *Gatherer) resolve(now time.Time, found map[string][]netip.Addr) {
	maps.Copy(g.addrs, found)
	g.again = lookEvery
	var servers []stun.Server
	named := map[string]bool{}
	for _, s := range g.resolved {
		named[s.Host] = true
		if found[s.Host] == nil {
			g.again = lookAgain
		}
		server := stun.Server{Name: s.Name}
		for _, a := range g.addrs[s.Host] {
			server.Addrs = append(server.Addrs, netip.AddrPortFrom(a.Unmap(), s.Port))
		}
		servers = append(servers, server)
	}
	maps.DeleteFunc(g.addrs, func(host string, _ []netip.Addr) bool { return !named[host] })
	g.machine.SetServers(now, servers)
}

func (g *Gatherer) next() time.Time {
	next := g.machine.Next()
	due := []time.Time{g.until}
	if g.again != 0 && len(g.resolved) > 0 {
		due = append(due, g.looked.Add(g.again))
	}
	for _, at := range due {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// publish tells of what is known now, if it is something else.
func (g *Gatherer) publish() {
	report := g.machine.Report()
	g.mu.Lock()
	list := g.compose(report)
	changed := g.looking || !slices.Equal(list, g.list)
	g.list, g.report, g.looking = list, report, false
	g.mu.Unlock()
	if changed {
		g.cfg.OnChange()
	}
}

// compose puts what is known in order, each address once. The caller holds g.mu.
func (g *Gatherer) compose(report stun.Report) (list []netip.AddrPort) {
	add := func(at netip.AddrPort) {
		if at.IsValid() && !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	for _, at := range g.cfg.Given {
		add(at)
	}
	add(g.mapped)
	for _, f := range []stun.Family{report.V4, report.V6} {
		for _, m := range f.Mapped[:min(len(f.Mapped), maxMapped)] {
			add(m.Addr)
		}
	}
	for _, at := range g.local {
		if g.cfg.Hidden == nil || !g.cfg.Hidden(at.Addr()) {
			add(at)
		}
	}
	return list
}
