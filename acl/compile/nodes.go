package compile

import "iter"

// Nodes yields every node as it was put, without its default routes, sorted by
// id. The mesh must not change meanwhile.
func (m *Mesh) Nodes() iter.Seq[Node] {
	return func(yield func(Node) bool) {
		for _, n := range m.sortedNodes() {
			if !yield(n.Node) {
				return
			}
		}
	}
}
