package distribute

import (
	"context"
	"net/netip"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Presence is what is known of a node at the moment, and lost with the process.
type Presence struct {
	Connected    bool
	LastSeen     time.Time
	From         netip.Addr // where its stream comes from
	Acknowledged wire.Position
	Current      bool // it enforces the map that it should
	Endpoints    []netip.AddrPort
	Warnings     []string

	instance string   // of the run that is connected, or was last
	former   []string // instances that were replaced while they ran
}

// A node whose runs take the stream from each other more than once is two
// machines with one key. This many replaced runs are remembered.
const maxFormer = 8

func (h *Hub) presenceOf(node string) *Presence {
	p := h.presence[node]
	if p == nil {
		p = new(Presence)
		h.presence[node] = p
	}
	return p
}

func (h *Hub) connected(s *stream) {
	p := h.presenceOf(s.node)
	p.Connected, p.LastSeen, p.From, p.instance = true, h.cfg.Now(), s.join.From, s.join.Instance
	h.hint(s.node)
}

func (h *Hub) disconnected(s *stream) {
	p := h.presenceOf(s.node)
	p.Connected, p.LastSeen = false, h.cfg.Now()
	h.hint(s.node)
}

// noteRival looks at a stream that takes the place of another one. After a
// crash or a change of network a daemon's next run, or the same run, does that
// once. A run that was replaced and comes back means that both still live: the
// state directory was copied.
func (h *Hub) noteRival(old, fresh *stream) {
	if old.join.Instance == fresh.join.Instance {
		return
	}
	p := h.presenceOf(old.node)
	for _, was := range p.former {
		if was == fresh.join.Instance {
			h.warnCloned(p, old, fresh)
			return
		}
	}
	p.former = append(p.former, old.join.Instance)
	if len(p.former) > maxFormer {
		p.former = p.former[1:]
	}
}

func (h *Hub) warnCloned(p *Presence, old, fresh *stream) {
	h.cfg.Log.Error("two machines use one node's key: its state directory was copied; remove the node and enrol both anew",
		"node", old.node, "one", old.join.From, "other", fresh.join.From)
	p.Warnings = []string{"two machines use this node's key (seen from " + old.join.From.String() + " and " +
		fresh.join.From.String() + "): remove the node and enrol both anew"}
}

// Acknowledge notes the revision that a node enforces.
func (h *Hub) Acknowledge(ctx context.Context, node string, at wire.Position) {
	h.do(ctx, func() {
		p := h.presenceOf(node)
		p.Acknowledged, p.LastSeen = at, h.cfg.Now()
	})
}

// Report notes where a node can be reached, and tells those who may.
func (h *Hub) Report(ctx context.Context, node string, endpoints []netip.AddrPort) {
	h.do(ctx, func() {
		h.presenceOf(node).Endpoints = endpoints
		h.hint(node)
	})
}

// Present gives a copy of what is known of every node at the moment.
func (h *Hub) Present(ctx context.Context) (map[string]Presence, error) {
	out := map[string]Presence{}
	err := h.do(ctx, func() {
		for id, p := range h.presence {
			now := *p
			s := h.streams[id]
			now.Current = s != nil && !s.full && !s.owesMap() && p.Acknowledged.Revision >= s.at
			out[id] = now
		}
	})
	return out, err
}

// hint marks a node's endpoints as due to every connected node that sees it.
func (h *Hub) hint(node string) {
	for id := range h.visible(node) {
		if s := h.streams[id]; s != nil {
			s.hints[node] = struct{}{}
			h.touched[s] = struct{}{}
		}
	}
}

// hintsFor gives the endpoints that s owes; nil if none.
func (h *Hub) hintsFor(s *stream) *wire.Hints {
	out := new(wire.Hints)
	for id := range s.hints {
		p := h.presence[id]
		if p == nil || !h.sees(s.node, id) {
			continue
		}
		e := &wire.PeerEndpoints{Node: id, Online: p.Connected}
		for _, at := range p.Endpoints {
			if at.Addr().IsLoopback() && !s.join.From.IsLoopback() {
				continue // means the viewer's own machine there
			}
			e.Endpoints = append(e.Endpoints, at.String())
		}
		out.Peers = append(out.Peers, e)
	}
	clear(s.hints)
	if len(out.Peers) == 0 {
		return nil
	}
	return out
}
