package userspace

import (
	"golang.zx2c4.com/wireguard/device"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// Greet begins a handshake with a peer, and tells whether the plane has it. A
// node that starts again has lost its sessions, and a peer that still sends in
// one would only notice after 15 seconds (WireGuard's paper, section 6.5).
func (p *Plane) Greet(id string) bool {
	k, ok := p.keyOf(id)
	if !ok {
		return false
	}
	peer := p.device.LookupPeer(device.NoisePublicKey(k.Raw()))
	if peer == nil {
		return false
	}
	// What cannot be sent now is sent again by WireGuard's own timers.
	_ = peer.SendHandshakeInitiation(false)
	return true
}

func (p *Plane) keyOf(id string) (k key.TunnelPublic, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, known := range p.applied.peers {
		if known.id == id {
			return k, true
		}
	}
	return k, false
}
