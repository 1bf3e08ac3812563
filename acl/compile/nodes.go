package compile

import (
	"iter"

	"github.com/cordonmesh/cordon/acl/policy"
)

// HasDevices tells whether a selector picks any node.
func (m *Mesh) HasDevices(s policy.Selector) bool {
	picks := m.picker(s)
	for _, n := range m.nodes {
		if picks(&n.Node) {
			return true
		}
	}
	return false
}

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
