package compile

import (
	"iter"

	"github.com/cordonmesh/cordon/acl"
)

// Classes gives every prefix that matters with its class, in no order: the
// whole mesh's table, which no node is ever given.
func (m *Mesh) Classes() iter.Seq[acl.PrefixClass] {
	return func(yield func(acl.PrefixClass) bool) {
		for prefix, e := range m.table.All() {
			if e.class != nil && !yield(acl.PrefixClass{Prefix: prefix, Class: e.class.num}) {
				return
			}
		}
	}
}
