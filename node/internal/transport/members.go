package transport

import "weak"

// members are the virtual endpoints of the peers of the map, and of who has left it
// while wireguard-go still has the endpoint. That takes no other for as long as it
// has the peer, so whoever returns meanwhile must get the same one; of all others
// nothing is kept, or a node would hold whoever came and went in its life.
type members struct {
	now  map[string]*endpoint // never changed, only replaced: Run reads it too
	left map[string]weak.Pointer[endpoint]
}

func newMembers() members {
	return members{now: map[string]*endpoint{}, left: map[string]weak.Pointer[endpoint]{}}
}

// find gives a peer's endpoint, or nil.
func (m *members) find(id string) *endpoint {
	if v := m.now[id]; v != nil {
		return v
	}
	return m.left[id].Value()
}

// set takes the peers of a new map.
func (m *members) set(t *Transport, peers []Peer) {
	now := make(map[string]*endpoint, len(peers))
	for _, p := range peers {
		v := m.find(p.ID)
		if v == nil {
			v = newEndpoint(t, p.ID)
		}
		now[p.ID] = v
	}
	for id, v := range m.now {
		if now[id] == nil {
			m.left[id] = weak.Make(v)
		}
	}
	for id, v := range m.left {
		if now[id] != nil || v.Value() == nil {
			delete(m.left, id)
		}
	}
	m.now = now
}
