package distribute

import "github.com/cordonmesh/cordon/coordinator/wire"

// rules is a rule set as nodes get it. Those with the same set share it.
type rules struct {
	bytes  []byte // a serialised wire.RuleSet
	digest wire.Digest
}

func (h *Hub) rulesOf(node string) *rules {
	set := h.mesh.Set(node)
	r, ok := h.rules[set]
	if !ok {
		r = new(rules)
		r.bytes, r.digest = wire.EncodeRules(set.Rules())
		h.rules[set] = r
	}
	return r
}
