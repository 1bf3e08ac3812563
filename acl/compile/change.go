package compile

import "iter"

// Change is what nodes see differently after a call.
type Change struct{ crowds []crowd }

// crowd is nodes that see the same differently.
type crowd struct {
	nodes []string
	News
}

// Empty tells whether nobody need be told.
func (c Change) Empty() bool {
	for range c.Views() {
		return false
	}
	return true
}

// Views yields one view for each node concerned, in no order.
func (c Change) Views() iter.Seq[View] {
	return func(yield func(View) bool) {
		for i := range c.crowds {
			for _, id := range c.crowds[i].nodes {
				if !yield(View{id, &c.crowds[i].News}) {
					return
				}
			}
		}
	}
}

// View is what one node sees differently.
type View struct {
	Node string
	*News
}

// News is what is seen differently. All to whom it is the same share it, and those who
// share it have one rule set.
type News struct {
	Self  bool // the node's own prefixes, owner or name
	Rules bool // its rule set

	// Ended tells that the node or one of its peers may be good for less than was
	// told: a fact ended or ends sooner, or a prefix is of another class that lacks
	// what the one before had.
	Ended bool

	upserted, removed [][]string // lists that are others', too; they may hold the node itself
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

func except(lists [][]string, self string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, ids := range lists {
			for _, id := range ids {
				if id != self && !yield(id) {
					return
				}
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
func (t *turn) put(in *said) {
	var was []claim
	n, known := t.m.nodes[in.ID]
	if known {
		was = t.m.book.claims(n.said)
	} else {
		n = new(node)
		t.m.nodes[in.ID] = n
	}
	n.said = in
	t.reclaim(n, was, t.m.book.claims(in))
}

// Remove takes a node out of the directory. An unknown id changes nothing.
func (m *Mesh) Remove(id string) Change {
	n, ok := m.nodes[id]
	if !ok {
		return Change{}
	}
	t := m.begin(!bulk)
	t.reclaim(n, m.book.claims(n.said), nil)
	n.leaving = true
	t.touchNodes([]*node{n})
	return t.finish()
}
