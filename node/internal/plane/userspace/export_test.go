package userspace

import (
	"context"

	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/node/internal/plane"
)

// kept holds every peer that any test made, for the life of the process:
// wireguard-go drains the queues of a forgotten peer from a finalizer, and no
// goroutine outside a bubble of virtual time may touch a channel made in it.
var kept []*device.Peer

// Keeping is a Plane whose peers are never forgotten.
type Keeping struct{ *Plane }

// Configure is that of Plane.
func (k Keeping) Configure(ctx context.Context, cfg plane.Config) error {
	err := k.Plane.Configure(ctx, cfg)
	for i := range cfg.Peers {
		if p := k.device.LookupPeer(device.NoisePublicKey(cfg.Peers[i].TunnelKey.Raw())); p != nil {
			kept = append(kept, p)
		}
	}
	return err
}
