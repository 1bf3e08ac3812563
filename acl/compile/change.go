package compile

import (
	"iter"
	"slices"
)

// Change is what nodes see differently after a call: one view for each node
// concerned, in no order. An empty Change means that nobody need be told.
type Change struct {
	Views []View
}

// View is what one node sees differently.
type View struct {
	Node  string
	Self  bool // its own prefixes, owner or name
	Rules bool // its rule set

	// Ended tells that the node or one of its peers may be good for less than was
	// told: a fact ended or ends sooner, or a prefix is of another class that lacks
	// what the one before had.
	Ended bool

	upserted, removed []string // may hold Node itself; shared between views
}

// Upserted gives the peers that are new to the node, or whose prefixes, owner
// or name changed, in no order.
func (v View) Upserted() iter.Seq[string] { return except(v.upserted, v.Node) }

// Removed gives those that are peers no more. A node that was removed from the
// mesh has no view, but stands here for its former peers.
func (v View) Removed() iter.Seq[string] { return except(v.removed, v.Node) }

func except(ids []string, self string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, id := range ids {
			if id != self && !yield(id) {
				return
			}
		}
	}
}

// Put adds a node to the directory, or replaces the node with its id.
func (m *Mesh) Put(in Node) Change {
	t := m.begin(!bulk)
	t.put(m.book.read(in))
	t.touchNodes([]*node{m.nodes[in.ID]})
	return t.finish()
}

// put takes on what is said of a node.
func (t *turn) put(in said) {
	n, known := t.m.nodes[in.ID]
	if !known {
		n = &node{}
		t.m.nodes[in.ID] = n
	}
	was := t.m.book.claims(&n.said)
	n.said = in
	t.reclaim(n, was, t.m.book.claims(&n.said))
}

// Remove takes a node out of the directory. An unknown id changes nothing.
func (m *Mesh) Remove(id string) Change {
	n, ok := m.nodes[id]
	if !ok {
		return Change{}
	}
	t := m.begin(!bulk)
	t.reclaim(n, m.book.claims(&n.said), nil)
	n.leaving = true
	t.touchNodes([]*node{n})
	return t.finish()
}

// tell makes the views: for each node that moved, its own, and one for each
// node that saw or sees it; then those of nodes whose rules changed.
func (t *turn) tell() Change {
	for i := range t.moved {
		mv := &t.moved[i]
		id := []string{mv.node.ID}
		var after []*node
		if !mv.node.leaving {
			after = t.m.peersOf(mv.node)
			own := t.viewOf(mv.node)
			own.Self, own.Ended = mv.told, own.Ended || mv.ended
			own.Rules = mv.fresh || !equalRules(mv.rules, t.m.rulesOf(mv.node.profile))
		}
		t.tellPeers(mv, id, after)
	}
	for _, p := range t.stale {
		for _, n := range p.nodes {
			if n.changed != t.at {
				t.viewOf(n).Rules = true
			}
		}
	}
	if len(t.moved) > 1 { // two that moved and see each other told each other twice
		for i := range t.views {
			v := &t.views[i]
			v.upserted, v.removed = tidy(v.upserted), tidy(v.removed)
		}
	}
	t.views = slices.DeleteFunc(t.views, View.empty) // a node's profile may change unseen
	return Change{Views: t.views}
}

func (v View) empty() bool {
	return !v.Self && !v.Rules && len(v.upserted) == 0 && len(v.removed) == 0
}

// tellPeers tells the peers before and after about a node that moved, and it
// about them.
func (t *turn) tellPeers(mv *move, id []string, after []*node) {
	t.views = slices.Grow(t.views, max(len(mv.peers), len(after)))
	if slices.Equal(mv.peers, after) {
		t.tellSame(mv, id, after)
		return
	}
	was := t.m.stamp(mv.peers)
	more := len(after) - len(mv.peers)
	gained, lost := make([]string, 0, max(0, more)), make([]string, 0, max(0, -more))
	for _, peer := range after {
		known := peer.stamped == was
		switch {
		case !known:
			gained = append(gained, peer.ID)
		case !mv.told:
			continue
		}
		v := t.viewOf(peer)
		v.upserted, v.Ended = join(v.upserted, id), v.Ended || mv.ended && known
	}
	is := t.m.stamp(after)
	for _, peer := range mv.peers {
		if peer.stamped == is {
			continue
		}
		lost = append(lost, peer.ID)
		if !peer.leaving {
			v := t.viewOf(peer)
			v.removed = join(v.removed, id)
		}
	}
	if !mv.node.leaving {
		own := t.viewOf(mv.node)
		own.upserted, own.removed = join(own.upserted, gained), join(own.removed, lost)
	}
}

// tellSame tells of a node that moved those who see it as they did.
func (t *turn) tellSame(mv *move, id []string, peers []*node) {
	if !mv.told {
		return
	}
	for _, peer := range peers {
		v := t.viewOf(peer)
		v.upserted, v.Ended = join(v.upserted, id), v.Ended || mv.ended
	}
}

// stamp marks nodes with a round of their own.
func (m *Mesh) stamp(nodes []*node) uint64 {
	m.round++
	for _, n := range nodes {
		n.stamped = m.round
	}
	return m.round
}

// join appends without writing over a list that other views share: a shared
// list is clipped, so that appending copies it.
func join(list, more []string) []string {
	if len(list) == 0 {
		return slices.Clip(more)
	}
	return append(list, more...)
}

// tidy sorts a list that several moves wrote into and drops what is twice.
func tidy(list []string) []string {
	if len(list) < 2 {
		return list
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// viewOf gives the turn's view of a node. It is valid until the next call.
func (t *turn) viewOf(n *node) *View {
	if n.viewed != t.at {
		n.viewed, n.view = t.at, len(t.views)
		t.views = append(t.views, View{Node: n.ID})
	}
	return &t.views[n.view]
}
