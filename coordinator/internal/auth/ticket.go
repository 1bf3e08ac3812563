package auth

import (
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// RelayTicket gives a node's ticket for relays, and its end. It lasts for life,
// and no longer than the map key that signs it. It begins early, for relays
// whose clocks are behind.
func (a *Authority) RelayTicket(node key.NodePublic, life time.Duration, now time.Time) ([]byte, time.Time) {
	m := a.now.Load()
	end := now.Add(life)
	if end.After(m.mapEnd) {
		end = m.mapEnd
	}
	end = end.UTC().Truncate(time.Second)
	return wire.SignRelayTicket(m.mapKey, m.mapCerts[0], m.rootKey, wire.RelayPermit{
		Node: node, NotBefore: now.Add(-skew), NotAfter: end}), end
}
