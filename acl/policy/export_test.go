package policy

import (
	"maps"
	"slices"
)

// Objects gives the kinds of objects that a text holds, each with the keys that it may
// have.
func Objects(src []byte) map[string][]string {
	r := newReader("p", src)
	if root, ok := r.tree(); ok {
		r.policy(&Policy{}, &root, &names{autogroups: autogroups(), public: make(map[string]bool)})
	}
	all := make(map[string][]string)
	for what, table := range r.known {
		all[what] = slices.Sorted(maps.Keys(table.status))
	}
	return all
}
