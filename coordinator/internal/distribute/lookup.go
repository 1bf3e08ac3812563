package distribute

import (
	"context"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// LookupRules tells a node where rules of its own rule set stand in the policy
// that its map was compiled from. Others' rules are not told: a node learns of
// the policy only what concerns it. The hub is asked for the rule set alone; the
// reading is done by the caller, so that a curious node delays nobody.
func (h *Hub) LookupRules(ctx context.Context, node string, ids []string, revision uint64) ([]*wire.RulePosition, error) {
	var own acl.RuleSet
	var version *registry.PolicyVersion
	err := h.Ask(ctx, func(m *compile.Mesh, state *registry.State) {
		var ok bool
		if version, ok = state.PolicyAt(revision); !ok {
			version = state.Policy()
		}
		own = m.Rules(node)
	})
	if err != nil {
		return nil, err
	}
	pol, err := version.Parsed()
	if err != nil || pol == nil {
		return nil, nil // a policy of the past that no longer parses explains nothing
	}
	var out []*wire.RulePosition
	for _, r := range pol.Rules() {
		if slices.Contains(ids, string(r.ID)) && (contains(own.In, r.ID) || contains(own.Out, r.ID)) {
			out = append(out, position(r))
		}
	}
	return out, nil
}

func contains(rules []acl.Rule, id acl.RuleID) bool {
	return slices.ContainsFunc(rules, func(r acl.Rule) bool { return r.ID == id })
}

func position(r policy.Rule) *wire.RulePosition {
	return &wire.RulePosition{Id: string(r.ID), File: r.Pos.File, Line: uint32(r.Pos.Line), Text: r.Text}
}
