package distribute

import "time"

// newcomer is a node that enrolled and did not say yet where it is. Its peers owe
// it nothing meanwhile: it has no socket to send from. Their streams owe its
// record, and bring it with whatever they carry next.
type newcomer struct {
	node  *subject
	until time.Time
}

// awaits begins to wait for a node that just enrolled, and tells whether it does.
func (h *Hub) awaits(node *subject) bool {
	if p := h.presence[node.id]; p != nil && len(p.Endpoints) > 0 {
		return false
	}
	h.coming = append(h.coming, newcomer{node, time.Now().Add(comeWithin)})
	if h.come == nil {
		h.come = time.After(comeWithin)
	}
	return true
}

// waitNoLonger tells of those who did not come in time.
func (h *Hub) waitNoLonger() {
	h.come = nil
	now := time.Now() // not the mesh's time, which may be set
	for len(h.coming) > 0 {
		first := h.coming[0]
		if left := first.until.Sub(now); left > 0 {
			h.come = time.After(left)
			return
		}
		h.coming = h.coming[1:]
		h.tellOf(first.node)
	}
	h.coming = nil
}

// tellOf has those streams served that still owe a node's record.
func (h *Hub) tellOf(node *subject) {
	for id := range h.mesh.Peers(node.id) {
		if s := h.streams[id]; s != nil && s.peers.has(node) {
			h.touch(s)
		}
	}
}
