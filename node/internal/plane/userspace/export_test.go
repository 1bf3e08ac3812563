package userspace

import (
	"context"
	"sync"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// kept holds every peer that any test made, for the life of the process:
// wireguard-go drains the queues of a forgotten peer from a finalizer, and no
// goroutine outside a bubble of virtual time may touch a channel made in it.
var kept struct {
	sync.Mutex
	peers []*device.Peer
}

// Keeping is a Plane whose peers are never forgotten.
type Keeping struct {
	*Plane
	bind *keepingBind
}

// Keep makes such a Plane.
func Keep(o Options) (Keeping, error) {
	b := &keepingBind{Bind: o.Bind, keys: map[string]key.TunnelPublic{}}
	o.Bind = b
	p, err := New(o)
	b.plane = p
	return Keeping{p, b}, err
}

// Configure is that of Plane.
func (k Keeping) Configure(ctx context.Context, cfg plane.Config) error {
	k.bind.mu.Lock()
	for i := range cfg.Peers {
		k.bind.keys[cfg.Peers[i].Endpoint()] = cfg.Peers[i].TunnelKey
	}
	k.bind.mu.Unlock()
	err := k.Plane.Configure(ctx, cfg)
	for i := range cfg.Peers {
		if cfg.Peers[i].Stock != nil { // nobody asks for its endpoint
			Remember(k.device, cfg.Peers[i].TunnelKey)
		}
	}
	return err
}

// Remember keeps a peer of a device, if it has it.
func Remember(d *device.Device, k key.TunnelPublic) {
	if p := d.LookupPeer(device.NoisePublicKey(k.Raw())); p != nil {
		kept.Lock()
		defer kept.Unlock()
		kept.peers = append(kept.peers, p)
	}
}

// keepingBind is asked for the endpoint of every peer that is made.
type keepingBind struct {
	conn.Bind
	plane *Plane

	mu   sync.Mutex
	keys map[string]key.TunnelPublic // by endpoint
}

func (b *keepingBind) ParseEndpoint(text string) (conn.Endpoint, error) {
	b.mu.Lock()
	k := b.keys[text]
	b.mu.Unlock()
	Remember(b.plane.device, k)
	return b.Bind.ParseEndpoint(text)
}

// Waiting is how many packets wait for their peers.
func (p *Plane) Waiting() int {
	p.guard.lobby.mu.Lock()
	defer p.guard.lobby.mu.Unlock()
	return len(p.guard.lobby.packets)
}
