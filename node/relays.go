package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/relays"
	"github.com/cordonmesh/cordon/node/relay"
)

// joinRelays makes the relays that this node speaks with. What they bring is the
// transport's, and where this node is at home is told to its peers.
func (m *mesh) joinRelays() *relays.Set {
	reach := &reaches{root: m.identity.Root.Fingerprint(), beneath: m.world.beneath(), resolver: m.resolver(), now: func() time.Time { return m.follower.Now() }}
	return relays.New(relays.Config{
		Node: &m.node.keys.Node, Reach: reach.of, Log: m.log,
		Receive: func(name string, from key.NodePublic, datagram []byte) {
			m.transport.FromRelay(path.Relay(name), from, datagram)
		},
		OnHome: func(string) { m.follower.FactsChanged() },
		OnLink: func(name string, up bool) {
			if up {
				m.transport.RelayUp(path.Relay(name))
			} else {
				m.transport.RelayDown(path.Relay(name))
			}
		},
		OnAway: func(name string) { m.transport.RelayAway(path.Relay(name)) },
	})
}

// overRelay is transport.Config.Relay.
func (m *mesh) overRelay(name path.Relay, to key.NodePublic, datagram []byte) bool {
	return m.relays.Send(string(name), to, datagram)
}

// Relays takes which relays there are, and the ticket for them.
func (m *mesh) Relays(o wire.RelayOffer) {
	offers, all := make([]relays.Offer, len(o.Relays)), make([]path.Relay, len(o.Relays))
	for i, r := range o.Relays {
		offers[i], all[i] = relays.Offer{Name: r.Name, URL: r.URL}, path.Relay(r.Name)
		if r.Pin != (wire.RelayPin{}) {
			offers[i].Pin = relay.Pin(r.Pin).String()
		}
	}
	m.transport.SetRelays(all)
	m.relays.Offer(offers, o.Ticket)
	m.names.setRelays(o)
	m.gatherer.SetServers(stunServers(o.Relays))
}

// Hint takes where a peer may be reached.
func (m *mesh) Hint(peer string, at control.Hint) {
	m.mu.Lock()
	m.hints[peer] = at
	m.mu.Unlock()
	m.transport.SetCandidates(peer, at.Endpoints)
	m.transport.SetHome(peer, path.Relay(at.Relay))
}

// reaches knows how each relay is reached. A dialer remembers which of a relay's
// addresses answered, so there is one for each for as long as it is offered.
type reaches struct {
	root     key.Fingerprint // of the mesh
	beneath  control.Control
	resolver *net.Resolver // never through the mesh
	now      func() time.Time

	mu    sync.Mutex
	known map[relays.Offer]*relay.Dialer
}

// maxReaches bounds the relays that are remembered after they were withdrawn.
const maxReaches = 4 * wire.MaxRelays

func (r *reaches) of(o relays.Offer) (relays.Reach, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.known[o]; d != nil {
		return d, nil
	}
	dialer := r.beneath.Dialer()
	dialer.Resolver = r.resolver // of a proxy's name
	d := &relay.Dialer{URL: o.URL, Proxy: relay.ProxyFromEnvironment(), Dial: dialer.DialContext}
	d.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return r.resolver.LookupNetIP(ctx, "ip", host)
	}
	if o.Pin != "" {
		pin, err := relay.ParsePin(o.Pin)
		if err != nil {
			return nil, fmt.Errorf("relay %s: %w", o.Name, err)
		}
		if d.Pin = pin; key.Fingerprint(pin) == r.root {
			d.TLS = wire.CoordinatorTLS(r.root, r.now)
		}
	}
	if r.known == nil || len(r.known) >= maxReaches {
		r.known = map[relays.Offer]*relay.Dialer{}
	}
	r.known[o] = d
	return d, nil
}
