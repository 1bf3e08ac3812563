package compile

import "iter"

// Change is what nodes see differently after a call: one view for each node
// concerned, in no order. An empty Change means that nobody need be told.
type Change struct {
	Views []View
}

// View is what one node sees differently.
type View struct {
	Node string
	*News
}

// News is what is seen differently. All to whom it is the same share it.
type News struct {
	Self  bool // the node's own prefixes, owner or name
	Rules bool // its rule set

	// Ended tells that the node or one of its peers may be good for less than was
	// told: a fact ended or ends sooner, or a prefix is of another class that lacks
	// what the one before had.
	Ended bool

	upserted, removed []string // may hold the node itself
}

func (n *News) empty() bool {
	return !n.Self && !n.Rules && len(n.upserted) == 0 && len(n.removed) == 0
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
