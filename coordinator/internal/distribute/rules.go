package distribute

import (
	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// rules is a rule set as nodes get it. Nodes of one profile share it.
type rules struct {
	bytes  []byte // a serialised wire.RuleSet
	digest wire.Digest
}

// rulesKey tells rule sets apart: the compiler gives nodes of one profile the
// same slices, and never changes them.
type rulesKey struct {
	first [4]*acl.Rule
	count [4]int
}

func (h *Hub) rulesOf(node string) *rules {
	set := h.mesh.Rules(node)
	var k rulesKey
	for i, list := range [...][]acl.Rule{set.In, set.Out, set.ForbidIn, set.ForbidOut} {
		if k.count[i] = len(list); len(list) > 0 {
			k.first[i] = &list[0]
		}
	}
	r, ok := h.rules[k]
	if !ok {
		r = &rules{bytes: serialised(wire.RulesProto(set)), digest: wire.RulesDigest(set)}
		h.rules[k] = r
	}
	return r
}
