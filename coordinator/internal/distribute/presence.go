package distribute

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
)

// Presence is what is known of a node at the moment, and lost with the process.
type Presence struct {
	Connected    bool
	LastSeen     time.Time
	From         netip.Addr // where its stream comes from
	Acknowledged wire.Position
	Current      bool // it enforces the map that it should; of peers that were added it may say so late
	Endpoints    []netip.AddrPort
	Relay        string // its home, by name; empty: none
	Warnings     []string
	Clone        *Clone // nil: one machine alone has its key, as far as anybody knows

	former []string            // instances that were replaced while they ran
	hint   *wire.PeerEndpoints // as others are told; nil: to be made anew
	near   *wire.PeerEndpoints // as those on the coordinator's machine are told
}

// Clone is that two machines run with one node's key.
type Clone struct {
	At   [2]string // where they come from, sorted
	last time.Time // that one took the stream from the other
}

// apart is for how long it is told that two machines have one key, after they last took
// the stream from each other: while both run they do so within seconds, so that an hour
// later somebody has ended it, or one of them is off.
const apart = time.Hour

// text is what is said of it wherever the node is shown.
func (c *Clone) text() string {
	return "two machines use this node's key (seen from " + c.At[0] + " and " + c.At[1] + "): `cordonctl node hold` shuts both out; then remove the node and enrol both anew, or end the copy"
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

func (h *Hub) connected(p *Presence, s *stream) {
	was := p.Connected
	p.Connected, p.LastSeen, p.From = true, h.cfg.Now(), s.join.From
	if !was && (len(p.Endpoints) > 0 || p.Relay != "") { // a new node says where it is in a moment: one hint is enough
		h.hint(s.node, p)
	}
}

// disconnected is for the last stream of a node that may have been removed.
func (h *Hub) disconnected(s *stream) {
	if p := h.presence[s.node]; p != nil {
		p.Connected, p.LastSeen = false, h.cfg.Now()
		h.hint(s.node, p)
	}
}

// noteRival looks at a stream that takes the place of another one. After a
// crash or a change of network a daemon's next run, or the same run, does that
// once. A run that was replaced and comes back means that both still live: the
// state directory was copied.
func (h *Hub) noteRival(p *Presence, old, fresh *stream) {
	if old.join.Instance == fresh.join.Instance {
		return
	}
	if slices.Contains(p.former, fresh.join.Instance) {
		h.warnCloned(p, old, fresh)
	}
	if slices.Contains(p.former, old.join.Instance) {
		return
	}
	p.former = append(p.former, old.join.Instance)
	if len(p.former) > maxFormer {
		p.former = p.former[1:]
	}
}

// warnCloned tells of the two machines once, however often they take turns.
func (h *Hub) warnCloned(p *Presence, old, fresh *stream) {
	at := [2]string{old.join.From.String(), fresh.join.From.String()}
	slices.Sort(at[:])
	was, now := h.cloned(p), h.cfg.Now()
	p.Clone = &Clone{At: at, last: now}
	if was != nil && was.At == at {
		return
	}
	h.cfg.Log.Error("two machines use one node's key: its state directory was copied; `cordonctl node hold` shuts both out; then remove the node and enrol both anew, or end the copy",
		"node", old.node, "one", at[0], "other", at[1])
	h.cfg.Alarm()
}

// cloned gives what is still to be told of a node's key.
func (h *Hub) cloned(p *Presence) *Clone {
	if p.Clone == nil || h.cfg.Now().Sub(p.Clone.last) >= apart {
		return nil
	}
	return p.Clone
}

// noteFuture looks at a node that knows more than this coordinator. It takes no
// map that is older than its own, and is right: its rights end with its leases.
func (h *Hub) noteFuture(s *stream) {
	pos := s.join.Position
	if pos.Incarnation < h.state.Incarnation || pos.Incarnation == h.state.Incarnation && pos.Revision <= h.state.Revision {
		return
	}
	text := "this node holds a later map than the coordinator ever made: was the store replaced by an older copy? Use `cordon-coordinator restore`, which begins a new incarnation"
	p := h.presenceOf(s.node)
	if !slices.Contains(p.Warnings, text) {
		p.Warnings = []string{text}
		h.cfg.Log.Error("a node holds a later map than this coordinator ever made: was the store replaced by an older copy? Restore it with `cordon-coordinator restore`",
			"node", s.node, "incarnation", pos.Incarnation, "revision", pos.Revision)
	}
}

// Report notes where a node can be reached, directly and by which relay, and
// tells those who may.
func (h *Hub) Report(ctx context.Context, node string, endpoints []netip.AddrPort, relay string) error {
	return h.do(ctx, func() {
		h.catchUp()
		if !h.known(node) {
			return // removed while it spoke
		}
		p := h.presenceOf(node)
		p.LastSeen = h.cfg.Now()
		if !slices.Equal(p.Endpoints, endpoints) || p.Relay != relay {
			p.Endpoints, p.Relay = slices.Clone(endpoints), relay
			h.hint(node, p)
		}
	})
}

func (h *Hub) known(node string) bool {
	_, ok := h.state.Node(node)
	return ok
}

// Present gives a copy of what is known of every node at the moment.
func (h *Hub) Present(ctx context.Context) (map[string]Presence, error) {
	out := map[string]Presence{}
	err := h.do(ctx, func() {
		h.catchUp()
		for id := range h.presence {
			out[id] = h.present(id)
		}
	})
	return out, err
}

// PresentOne gives a copy of what is known of one node at the moment.
func (h *Hub) PresentOne(ctx context.Context, node string) (out Presence, err error) {
	err = h.do(ctx, func() {
		h.catchUp()
		out = h.present(node)
	})
	return out, err
}

func (h *Hub) present(node string) Presence {
	p := h.presence[node]
	if p == nil {
		return Presence{}
	}
	now := *p
	now.Warnings = slices.Clone(p.Warnings)
	if now.Clone = h.cloned(p); now.Clone != nil {
		now.Warnings = append(now.Warnings, now.Clone.text())
	}
	s := h.streams[node]
	now.Current = s != nil && !s.full && !s.owesMap() && p.Acknowledged.Incarnation == h.state.Incarnation && s.enforces(p.Acknowledged.Revision)
	return now
}
