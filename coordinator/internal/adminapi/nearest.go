package adminapi

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/admin"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// meant gives the end of a refusal: the name that a mistyped one is likely meant for.
func meant(text string, known []string) string {
	if near := policy.Nearest(text, known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// reachable gives all names by which something may be asked for.
func reachable(state *registry.State, mesh *compile.Mesh) []string {
	all := append(mesh.Policy().Names(), "autogroup:member", "autogroup:tagged")
	for n := range state.Nodes() {
		all = append(append(all, n.Name), n.Tags...)
		if n.Owner() != "" {
			all = append(all, n.Owner())
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

// meantSegment is meant for a segment, whose prefix may be left out, or for a class of
// data.
func meantSegment(m *admin.ReachPolicyRequest, segments, classes []string) string {
	if m.Segment == "" {
		return meant(m.Class, classes)
	}
	return cmp.Or(meant(m.Segment, segments), meant("seg:"+m.Segment, segments), meant(m.Class, classes))
}
