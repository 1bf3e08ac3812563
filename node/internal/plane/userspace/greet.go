package userspace

import "golang.zx2c4.com/wireguard/device"

// Greet begins a handshake with a peer, and tells whether the plane knows it. A
// node that starts again has lost its sessions, and a peer that still sends in
// one would only notice after 15 seconds (WireGuard's paper, section 6.5).
func (p *Plane) Greet(id string) bool {
	m := p.guard.roster.Load().byID[id]
	if m == nil || p.start(m) != nil {
		return false
	}
	if m.stock != nil && !m.stock.At().IsValid() {
		return false // it calls
	}
	return p.greet(m)
}

// greetStock begins a handshake with a stock peer that was just made, if it is known
// where it is: it may still send in a session that is no more.
func (p *Plane) greetStock(m *member) {
	if m.stock != nil && m.stock.At().IsValid() {
		p.greet(m)
	}
}

func (p *Plane) greet(m *member) bool {
	peer := p.device.LookupPeer(device.NoisePublicKey(m.key.Raw()))
	if peer == nil {
		return false
	}
	// What cannot be sent now is sent again by WireGuard's own timers.
	_ = peer.SendHandshakeInitiation(false)
	return true
}
