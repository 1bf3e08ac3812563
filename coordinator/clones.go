package coordinator

import (
	"context"
	"fmt"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

// cloneLapses tell of nodes whose key two machines use. Neither is shut out for it: nobody
// here can tell which of them is the right one, and whoever has stolen a copy of a server's
// state would have a switch by which to take the server off the mesh. So a person decides,
// who is told at once, and what to do in each case.
func (a *assembly) cloneLapses(ctx context.Context, state *registry.State) (all []warn.Lapse) {
	present, err := a.hub.Present(ctx)
	if err != nil {
		return nil // the coordinator stops
	}
	for n := range state.Nodes() {
		clone := present[n.ID].Clone
		if clone == nil || !n.Approved {
			continue
		}
		all = append(all, warn.Lapse{Kind: "clone", Name: fmt.Sprintf("of %s (at %s and %s)", n.Name, clone.At[0], clone.At[1]),
			Advice: "two machines use this node's key, and both have its rights. Your own copy of a machine: stop cordon there and remove its state directory. " +
				"If you cannot tell: `cordonctl node hold NAME` shuts both out, `node approve NAME` lets them in again. " +
				"A thief's: `node remove NAME`, and enrol the right one anew, with an empty state directory"})
	}
	return all
}
