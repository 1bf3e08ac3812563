package node

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/gather"
	"github.com/cordonmesh/cordon/node/internal/osnet"
)

const (
	// maxTold is how many addresses of ours the coordinator is told. It adds the
	// one that it sees.
	maxTold = 15
	// settles is how long what changed may go on changing before the coordinator is
	// told again: servers answer one after the other, and each report costs all peers.
	settles = 200 * time.Millisecond
)

// newGatherer makes what finds out where this node can be reached.
func (m *mesh) newGatherer() *gather.Gatherer {
	resolver := m.resolver()
	return gather.New(gather.Config{
		Send: func(to netip.AddrPort, b []byte) error { return m.transport.AskSTUN(to, b) },
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return resolver.LookupNetIP(ctx, "ip", host)
		},
		Local:    m.local,
		Hidden:   m.inRanges,
		Given:    m.node.cfg.Endpoints,
		OnChange: m.onGathered,
		Log:      m.log,
	})
}

// local gives the addresses of the tunnels' socket on this machine.
func (m *mesh) local() (list []netip.AddrPort, err error) {
	port := m.transport.Port()
	if port == 0 {
		return nil, nil
	}
	found, err := osnet.ListCandidates([]string{m.node.cfg.Interface})
	for _, a := range found.Addresses {
		list = append(list, netip.AddrPortFrom(a, port))
	}
	return list, err
}

// inRanges tells whether an address is one of the mesh's range: another daemon's
// of this machine, or that of a network which collides with the mesh, such as a
// phone's carrier.
func (m *mesh) inRanges(a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.state.Self.Ranges, func(p netip.Prefix) bool { return p.Contains(a) })
}

// onGather is the transport's word that a peer is about to be told where we are.
func (m *mesh) onGather() {
	m.gatherer.Want()
	m.transport.SetOwn(m.gatherer.List())
}

// onGathered is the gatherer's word that we are elsewhere, or have looked again.
func (m *mesh) onGathered() {
	m.transport.SetOwn(m.gatherer.List())
	m.mapPort(false)
	m.tellSoon()
}

// tellSoon has the coordinator told where we are: at once, or if it was told just
// now, when what changed has settled.
func (m *mesh) tellSoon() {
	select {
	case m.elsewhere <- struct{}{}:
	default:
	}
}

// stunServers are the relays that answer STUN.
func stunServers(relays []wire.RelayRecord) (servers []gather.Server) {
	for _, r := range relays {
		if u, err := url.Parse(r.URL); err == nil && r.STUN != 0 {
			servers = append(servers, gather.Server{Name: r.Name, Host: u.Hostname(), Port: r.STUN})
		}
	}
	return servers
}
