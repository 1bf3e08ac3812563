package node

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/osnet"
)

// The mesh hears from the follower; these are control.Listener's methods.

// Map takes a verified map into force.
func (m *mesh) Map(next wire.Map) {
	m.mu.Lock()
	m.sessionsChanged(next.Self.Sessions)
	m.state = withoutSignedOut(next, m.signedOut)
	settled := m.settleSignedOut()
	m.mu.Unlock()
	if settled {
		m.keepSignedOut()
	}
	m.guard(next.Self.Ranges)
	m.world.forward(m.node.cfg.networks(next.Self.Routes))
	m.exceptLocal()
	m.mu.Lock()
	m.engine.SetMap(m.state) // whoever signed out since is out
	m.mu.Unlock()
	m.names.setMap(next)
	m.siteChanged()
}

// guard keeps what is for the mesh from leaving by another way, and notes the
// ranges for a start without a map.
func (m *mesh) guard(ranges []netip.Prefix) {
	w, ok := m.world.(*tunWorld)
	if !ok {
		return
	}
	if err := w.guard(ranges); err != nil {
		m.log.Error("guarding the mesh's ranges failed", "error", err)
	}
	m.collisions(ranges)
	if slices.Equal(ranges, m.guarded) {
		return
	}
	m.guarded = ranges
	if err := m.node.dir.SaveRanges(ranges); err != nil {
		m.log.Warn("noting the mesh's ranges failed: a start without a map would not guard them", "error", err)
	}
}

// exceptLocal keeps a gateway's own addresses out of what is behind it. While
// they are not known, all that is behind may be the gateway's own.
func (m *mesh) exceptLocal() {
	own, err := osnet.Own([]string{m.node.cfg.Interface})
	if err != nil {
		m.mu.Lock()
		own = m.state.Self.Routes
		m.mu.Unlock()
		m.log.Error("what this machine takes for itself is not known; until it is, nothing behind it can be reached", "error", err)
	}
	m.engine.SetLocal(own)
}

// Lease takes the coordinator's word that it stands behind the map.
func (m *mesh) Lease(l wire.Leased) {
	m.mu.Lock()
	m.lease, m.heard = l.Time, time.Now()
	m.mu.Unlock()
	m.engine.SetLease(l.Time)
}

// Confirmed notes that the map is not only from disk.
func (m *mesh) Confirmed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.confirmed, m.heard = true, time.Now()
	delete(m.warnings, "map")
}

// Contact notes whether the coordinator is there.
func (m *mesh) Contact(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connected, m.contact = err == nil, err
	if err == nil {
		m.heard = time.Now()
	}
}

// Trouble shows what does not work in `cordon status` for as long as it lasts.
func (m *mesh) Trouble(what string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		delete(m.warnings, what)
		return
	}
	m.warnings[what] = what + " failed: " + err.Error()
}

func (m *mesh) warn(key, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.warnings[key] = text
}

// collisions warns of local networks that lie in the mesh's ranges.
func (m *mesh) collisions(ranges []netip.Prefix) {
	found, err := osnet.Collisions(ranges, []string{m.node.cfg.Interface})
	if err != nil || len(found) == 0 {
		return
	}
	m.warn("collision", found[0].String())
}

// resolve gives the mesh addresses of a peer's name, with or without the mesh's
// domain; this node's own name too. They are copies: whoever asks may sort them,
// and nobody may write to a map.
func (m *mesh) resolve(host string) []netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	name = strings.TrimSuffix(name, "."+m.state.Self.Domain)
	if name == m.state.Self.Name {
		return slices.Clone(m.state.Self.Addresses)
	}
	for _, p := range m.state.Peers {
		if p.Name == name || p.ID == name {
			return slices.Clone(p.Addresses)
		}
	}
	return nil
}

// inMesh tells whether an address is the mesh's, or behind one of its gateways.
func (m *mesh) inMesh(a netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.state.Self.Ranges {
		if p.Contains(a) {
			return true
		}
	}
	for _, peer := range m.state.Peers {
		for _, p := range peer.Routes {
			if p.Contains(a) {
				return true
			}
		}
	}
	return false
}

// peerAt gives the peer that owns an address, or has it behind it.
func (m *mesh) peerAt(a netip.Addr) (wire.PeerRecord, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return peerAt(m.state, a)
}
