package compile

import (
	"cmp"
	"slices"
)

// Attributes gives, for each of some attributes that any node carries, the ids of the
// nodes that do, sorted. All attributes of all nodes would be too many to list.
func (m *Mesh) Attributes(wanted []string) map[string][]string {
	all := make(map[string][]string, len(wanted))
	asked := make(map[string]bool, len(wanted))
	for _, attribute := range wanted {
		asked[attribute] = true
	}
	nodes := m.sortedNodes()
	for _, a := range m.pol.NodeAttrs() {
		attributes := slices.DeleteFunc(slices.Clone(a.Attrs), func(attribute string) bool { return !asked[attribute] })
		if len(attributes) == 0 {
			continue
		}
		picks := m.anyPicker(a.Target)
		for _, n := range nodes {
			if !picks(&n.Node) {
				continue
			}
			for _, attribute := range attributes {
				all[attribute] = append(all[attribute], n.ID)
			}
		}
		for _, attribute := range attributes {
			if ids := all[attribute]; len(ids) > 2*len(nodes) { // a hundred entries may give it to all
				slices.Sort(ids)
				all[attribute] = slices.Compact(ids)
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
