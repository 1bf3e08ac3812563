package distribute

import (
	"net/netip"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// hint makes a node's endpoints due to every connected node that sees it.
func (h *Hub) hint(node string, p *Presence) {
	p.hint, p.near = nil, nil
	subject := h.subject(node)
	for id := range h.mesh.Peers(node) {
		if s := h.streams[id]; s != nil {
			s.hints.add(subject, 0)
			h.touch(s)
		}
	}
}

// hintsFor gives the endpoints that s owes; nil if none.
func (h *Hub) hintsFor(s *stream) *wire.Hints {
	if !s.hints.some() {
		return nil
	}
	out := new(wire.Hints)
	for _, peer := range s.hints.take() {
		if p := h.presence[peer.id]; p != nil && h.mesh.Sees(s.node, peer.id) {
			out.Peers = append(out.Peers, p.endpointsFor(peer.id, s.join.From))
		}
	}
	if len(out.Peers) == 0 {
		return nil
	}
	return out
}

// endpointsFor gives where a node can be reached, as a viewer is told: a loopback
// address is where the viewer itself is, unless both are on the coordinator's
// machine. The message is made once and sent to many.
func (p *Presence) endpointsFor(node string, viewer netip.Addr) *wire.PeerEndpoints {
	made := &p.hint
	if viewer.IsLoopback() {
		made = &p.near
	}
	if *made == nil {
		*made = &wire.PeerEndpoints{Node: node, Online: p.Connected, Relay: p.Relay}
		for _, at := range p.Endpoints {
			if !at.Addr().IsLoopback() || viewer.IsLoopback() {
				(*made).Endpoints = append((*made).Endpoints, at.String())
			}
		}
	}
	return *made
}
