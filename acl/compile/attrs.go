package compile

import (
	"cmp"
	"slices"
)

// Attributes gives, by attribute, the ids of the nodes that carry it, sorted.
func (m *Mesh) Attributes() map[string][]string {
	all := make(map[string][]string)
	nodes := m.sortedNodes()
	for _, a := range m.pol.NodeAttrs() {
		picks := m.anyPicker(a.Target)
		for _, n := range nodes {
			if !picks(&n.Node) {
				continue
			}
			for _, attribute := range a.Attrs {
				all[attribute] = append(all[attribute], n.ID)
			}
		}
	}
	for attribute, ids := range all {
		slices.Sort(ids)
		all[attribute] = slices.Compact(ids)
	}
	return all
}

// sortedNodes gives all nodes by their ids.
func (m *Mesh) sortedNodes() []*node {
	all := make([]*node, 0, len(m.nodes))
	for _, n := range m.nodes {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
