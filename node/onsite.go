package node

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/node/internal/osnet"
	"github.com/cordonmesh/cordon/node/internal/transport"
)

const (
	// proveEvery is how often a gateway proves anew that this machine is in its
	// network, and proveWithin how long it may take: for the sum of the two what is
	// meant for the gateway's network may go to another that took its place without
	// the machine noticing, such as a false access point.
	proveEvery  = 5 * time.Second
	proveWithin = 3 * time.Second
)

// stayOnSite keeps this machine's own networks out of the tunnel while gateways
// that are behind prove that this is where they are.
func (m *mesh) stayOnSite(ctx context.Context) error {
	w, ok := m.world.(*tunWorld)
	if !ok {
		return nil // a network stack is in no network but the mesh
	}
	for {
		var again <-chan time.Time
		if m.proveSite(ctx, w) {
			again = time.After(proveEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.site:
		case <-again:
		}
	}
}

// siteChanged has the gateways asked again: the networks or the map are others.
func (m *mesh) siteChanged() {
	select {
	case m.site <- struct{}{}:
	default:
	}
}

// proveSite asks the gateways whose routes overlap a network of this machine, and
// leaves to the machine what they prove. It tells whether there are such gateways.
func (m *mesh) proveSite(ctx context.Context, w *tunWorld) bool {
	attached, err := osnet.ListAttached([]string{m.node.cfg.Interface})
	if err != nil {
		m.log.Error("which networks this machine is in is not known; all that gateways offer goes through them", "error", err)
	}
	gateways, ranges := m.overlapping(attached)
	// What is not this machine's network any more is withdrawn before the answers.
	m.leaveDirect(w, slices.DeleteFunc(w.direct(), func(p netip.Prefix) bool {
		return !slices.ContainsFunc(attached, func(a osnet.Attached) bool { return a.Prefix.Overlaps(p) })
	}))
	var asked sync.WaitGroup
	for id, g := range gateways {
		asked.Go(func() { m.see(ctx, id, g, attached) })
	}
	asked.Wait()
	var seen []osnet.Gateway
	for _, g := range gateways {
		seen = append(seen, *g)
	}
	if ctx.Err() == nil {
		m.leaveDirect(w, osnet.OnSite(attached, seen, ranges))
	}
	return len(gateways) > 0
}

// overlapping gives the peers that offer a network of this machine.
func (m *mesh) overlapping(attached []osnet.Attached) (map[string]*osnet.Gateway, []netip.Prefix) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]*osnet.Gateway{}
	for id, p := range m.state.Peers {
		if g := (osnet.Gateway{Routes: p.Routes}); g.Overlapping(attached) {
			found[id] = &g
		}
	}
	m.beside = slices.Sorted(maps.Keys(found))
	return found, m.state.Self.Ranges
}

// sitePath has a gateway asked again whose path is another.
func (m *mesh) sitePath(peer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Contains(m.beside, peer) {
		m.siteChanged()
	}
}

// see probes a gateway on the links where it may be, over whichever the path to it
// leads, and notes how the two saw each other since.
func (m *mesh) see(ctx context.Context, id string, g *osnet.Gateway, attached []osnet.Attached) {
	ctx, cancel := context.WithTimeout(ctx, proveWithin)
	defer cancel()
	var links []netip.Prefix
	for _, a := range attached {
		links = append(links, a.Prefix)
	}
	as := func(sights []transport.Sight) osnet.Gateway {
		seen := osnet.Gateway{Routes: g.Routes}
		for _, s := range sights {
			seen.Sights = append(seen.Sights, osnet.Sight{Endpoint: s.Endpoint.Addr(), Mapped: s.Mapped.Addr()})
		}
		return seen
	}
	enough := func(sights []transport.Sight) bool { return as(sights).Proved(attached) }
	*g = as(m.transport.Survey(ctx, id, links, enough))
}

func (m *mesh) leaveDirect(w *tunWorld, direct []netip.Prefix) {
	if slices.Equal(direct, w.direct()) {
		return
	}
	m.log.Info("networks of gateways that this machine is in itself", "now", direct)
	if err := w.apply(func(want *osnet.Want) { want.Direct = direct }); err != nil {
		m.log.Error("leaving networks to this machine failed", "error", err)
	}
}
