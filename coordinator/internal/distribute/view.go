package distribute

import (
	"iter"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// record is what others are told of a node: made once, sent to many.
type record struct {
	proto  *wire.Peer
	digest wire.Digest
}

// rebuild compiles a state from nothing, at the start or after more events than
// the source remembers. Whoever is connected gets a Full.
func (h *Hub) rebuild(state *registry.State) {
	h.state = state
	pol, err := state.Policy().Parsed()
	if err != nil {
		h.cfg.Log.Error("the policy in force cannot be read: everything is denied", "error", err)
	}
	h.mesh = compile.New(pol, state.Ranges())
	var nodes []compile.Node
	for n := range state.Nodes() {
		if n.Approved {
			nodes = append(nodes, compileNode(n))
		}
	}
	h.mesh.Load(nodes)
	clear(h.records)
	for id, s := range h.streams {
		if _, ok := state.Node(id); !ok {
			h.end(s, ErrGone)
			continue
		}
		s.full, s.lease, s.narrow = true, true, true
		h.touched[s] = struct{}{}
	}
}

func compileNode(n *registry.Node) compile.Node {
	return compile.Node{ID: n.ID, Name: n.Name, User: n.Owner(), Tags: n.Tags, Addrs: n.Addresses, Routes: n.Routes()}
}

// catchUp takes over what the source has decided since.
func (h *Hub) catchUp() {
	state := h.cfg.Source.Snapshot()
	if state.Revision == h.state.Revision {
		return
	}
	entries, ok := h.cfg.Source.Since(h.state.Revision)
	if !ok {
		h.rebuild(state)
		return
	}
	h.state = state
	nodes, edited := map[string]struct{}{}, false
	for _, e := range entries {
		if e.Revision > state.Revision {
			break // heard of in the next turn, with its state
		}
		switch v := e.Event.(type) {
		case registry.NodeEnrolled:
			nodes[v.Node.ID] = struct{}{}
		case registry.NodeChanged:
			nodes[v.Node.ID] = struct{}{}
		case registry.NodeRemoved:
			h.revoke(v.Revocation, e.Revision)
		case registry.RevocationTaken:
			h.revoke(v.Revocation, e.Revision)
		case registry.PolicySet:
			edited = true
		case registry.Initialised, registry.IncarnationBegun:
			h.rebuild(state)
			return
		}
	}
	if edited {
		h.edit()
	}
	for id := range nodes {
		h.update(id)
	}
}

// edit compiles the policy in force.
func (h *Hub) edit() {
	pol, err := h.state.Policy().Parsed()
	if err != nil {
		h.cfg.Log.Error("the policy in force cannot be read: everything is denied", "error", err)
	}
	h.apply(h.mesh.SetPolicy(pol))
}

// update takes over what became of one node.
func (h *Hub) update(id string) {
	n, ok := h.state.Node(id)
	if !ok {
		return // removed since; its own event says so
	}
	before, known := h.records[id]
	delete(h.records, id)
	if n.Approved {
		h.apply(h.mesh.Put(compileNode(n)))
	} else {
		h.apply(h.mesh.Remove(id))
	}
	if known && h.record(id).digest != before.digest {
		for viewer := range h.visible(id) {
			h.owePeer(viewer, id)
		}
	}
	if s := h.streams[id]; s != nil {
		s.self = true
		h.touched[s] = struct{}{}
	}
}

// revoke takes a node away, ends its stream, and keeps its revocation for those
// who knew it.
func (h *Hub) revoke(r registry.Revocation, revision uint64) {
	at := wire.Position{Incarnation: h.state.Incarnation, Revision: revision, Epoch: r.Epoch}
	payload, err := wire.Encode(wire.NewRevocation(h.state.Mesh, at, r.Key, r.Time))
	if err != nil {
		h.cfg.Log.Error("a revocation cannot be sent", "node", r.Node, "error", err)
	} else {
		h.notices[r.Epoch] = payload
	}
	for viewer := range h.visible(r.Node) {
		if s := h.streams[viewer]; s != nil && err == nil {
			s.notice = append(s.notice, r.Epoch)
			h.touched[s] = struct{}{}
		}
	}
	h.apply(h.mesh.Remove(r.Node))
	delete(h.records, r.Node)
	delete(h.presence, r.Node)
	if s := h.streams[r.Node]; s != nil {
		h.end(s, ErrGone)
	}
}

// apply marks what a change of the compiled mesh makes due.
func (h *Hub) apply(c compile.Change) {
	for _, v := range c.Views {
		if v.Self {
			delete(h.records, v.Node)
		}
	}
	for _, v := range c.Views {
		s := h.streams[v.Node]
		if s == nil {
			continue
		}
		s.self = s.self || v.Self
		s.rules = s.rules || v.Rules
		s.narrow = s.narrow || v.Rules
		for id := range v.Upserted() {
			h.owePeer(v.Node, id)
		}
		for id := range v.Removed() {
			s.narrow = true
			s.peers[id] = struct{}{}
		}
		h.touched[s] = struct{}{}
	}
}

// owePeer makes a peer's record, and where it can be reached, due to a viewer.
func (h *Hub) owePeer(viewer, id string) {
	if s := h.streams[viewer]; s != nil {
		s.peers[id] = struct{}{}
		s.hints[id] = struct{}{}
		h.touched[s] = struct{}{}
	}
}

func (h *Hub) visible(id string) iter.Seq[string] { return h.mesh.Peers(id) }
func (h *Hub) sees(a, b string) bool              { return h.mesh.Sees(a, b) }

// number gives a node's bit in sets of peers.
func (h *Hub) number(id string) int {
	n, ok := h.numbers[id]
	if !ok {
		n = len(h.numbers)
		h.numbers[id] = n
	}
	return n
}

// record gives what others are told of a node that is in the mesh.
func (h *Hub) record(id string) *record {
	if r, ok := h.records[id]; ok {
		return r
	}
	n, ok := h.state.Node(id)
	if !ok {
		return new(record)
	}
	p := wire.PeerRecord{
		ID: n.ID, Name: n.Name, NodeKey: n.Key, Statement: n.Statement, TunnelKey: n.TunnelKey, PathKey: n.PathKey,
		Addresses: n.Addresses, Routes: n.Routes(), Prefixes: h.mesh.Prefixes(id), Owner: h.mesh.Owner(id),
	}
	r := &record{proto: p.Proto(), digest: wire.PeerDigest(p)}
	h.records[id] = r
	return r
}

func (h *Hub) selfRecord(id string) wire.SelfRecord {
	n, ok := h.state.Node(id)
	if !ok {
		return wire.SelfRecord{}
	}
	return wire.SelfRecord{
		ID: n.ID, Name: n.Name, NodeKey: n.Key, Addresses: n.Addresses, Routes: n.Routes(),
		Prefixes: h.mesh.Prefixes(id), Owner: h.mesh.Owner(id), Ranges: h.state.Ranges(), Domain: h.state.Domain,
		Pending: !n.Approved, Tags: n.Tags, User: n.User,
	}
}

func (h *Hub) rules(id string) *wire.RuleSet { return wire.RulesProto(h.ruleSet(id)) }

func (h *Hub) ruleSet(id string) acl.RuleSet { return h.mesh.Rules(id) }

// digest gives the digest of the map that a node should hold.
func (h *Hub) digest(id string) wire.Digest {
	peers := map[string]wire.Digest{}
	for peer := range h.visible(id) {
		peers[peer] = h.record(peer).digest
	}
	return wire.CombineDigest(wire.SelfDigest(h.selfRecord(id)), peers, wire.RulesDigest(h.ruleSet(id)))
}
