package userspace

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/tai64n"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// roster is the peers of the map. It is never changed, only replaced; its members
// are.
type roster struct {
	byID  map[string]*member
	byKey map[key.TunnelPublic]*member
}

// member is a peer of the map, whether wireguard-go has it or not.
type member struct {
	id  string
	key key.TunnelPublic

	stock *plane.Stock // nil: a node. A stock peer is in wireguard-go as long as it is here

	// in: wireguard-go has the peer, and packets for it go straight there. Changed
	// under the lobby's lock, with what follows.
	in      atomic.Bool
	arrived bool // wireguard-go has it, and packets wait to be sent on
	waiting int32

	size atomic.Int32 // of a packet that passes whole; 0: not known

	// What follows is guarded by Plane.mu.
	allowed []netip.Prefix   // sorted
	stamp   tai64n.Timestamp // of its latest handshake: a replay does not bring it in
	tunnel  *tunnel          // nil: wireguard-go does not have it
	past    *plane.PeerStats // of tunnels before; nil: none
}

// tunnel is a peer of wireguard-go.
type tunnel struct {
	seen    plane.PeerStats // when last looked at
	used    time.Time       // when that was last another than before
	leaving bool            // unused for long, and to be removed if it still is
}

// endpoint is the text of the peer's one virtual endpoint.
func (m *member) endpoint() string { return plane.Peer{ID: m.id}.Endpoint() }

// enrol makes the roster of a configuration. Who was there before, under the same
// name and key, stays; allowed says for each which prefixes it has now.
func (r *roster) enrol(peers []plane.Peer) (next *roster, allowed map[*member][]netip.Prefix) {
	next = &roster{byID: make(map[string]*member, len(peers)), byKey: make(map[key.TunnelPublic]*member, len(peers))}
	allowed = make(map[*member][]netip.Prefix, len(peers))
	for i := range peers {
		p := &peers[i]
		m := r.byID[p.ID]
		if m == nil || m.key != p.TunnelKey || !m.stock.Same(p.Stock) {
			m = &member{id: p.ID, key: p.TunnelKey, stock: p.Stock}
		}
		next.byID[p.ID], next.byKey[p.TunnelKey] = m, m
		allowed[m] = sorted(p.Allowed)
	}
	return next, allowed
}

// sorted gives the list itself where it is in order: ten thousand copies count.
func sorted(list []netip.Prefix) []netip.Prefix {
	if slices.IsSortedFunc(list, netip.Prefix.Compare) {
		return slices.Clip(list)
	}
	list = slices.Clone(list)
	slices.SortFunc(list, netip.Prefix.Compare)
	return list
}

// has tells whether m is of the map still.
func (r *roster) has(m *member) bool { return r.byID[m.id] == m }
