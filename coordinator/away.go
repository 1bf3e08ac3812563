package coordinator

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/cordonmesh/cordon/acl/policy"
	"github.com/cordonmesh/cordon/coordinator/internal/away"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/warn"
)

const fileAway = "away.json"

func (a *assembly) openAway() {
	a.away = away.New(away.Config{File: filepath.Join(a.StateDir, fileAway), Nodes: a.whoIsThere, Now: a.Now, Log: a.Log})
}

// whoIsThere gives the nodes that should be there at all hours: servers, and gateways,
// whoever enrolled them. A person's laptop is away each night, and whoever opens it has it
// back within a second.
func (a *assembly) whoIsThere(ctx context.Context) (all []away.Node, err error) {
	present, err := a.hub.Present(ctx)
	if err != nil {
		return nil, err
	}
	state := a.registry.Snapshot()
	for n := range state.Nodes() {
		if p := present[n.ID]; state.Admitted(n) && (n.Owner() == "" || len(n.Routes()) > 0) {
			all = append(all, away.Node{ID: n.ID, Since: n.Created, There: p.Connected, Seen: p.LastSeen})
		}
	}
	return all, nil
}

// holdLapses tell of servers that have been away for so long that their hold nears its end:
// nobody may have noticed, for until then they work as if nothing were. The advice is one
// for all, so that a site that is cut off is one message.
func (a *assembly) holdLapses(ctx context.Context, state *registry.State) (all []warn.Lapse) {
	pol, err := state.Policy().Parsed()
	if err != nil {
		return nil // it is told as what it is, and denies all
	}
	for id, since := range a.away.Away(ctx) {
		n, known := state.Node(id)
		if !known {
			continue // removed in this moment
		}
		all = append(all, warn.Lapse{Kind: "hold", Name: fmt.Sprintf("of %s (away since %s)", n.Name, since.UTC().Format("2006-01-02 15:04 UTC")),
			Since: since, Until: since.Add(holdOf(pol, n)),
			Advice: "a server that hears nothing from the coordinator goes on alone until its hold ends, and then lets nobody in or out until it hears it again: " +
				"see there whether it runs, and `cordon netcheck`; if it is gone for good, `cordonctl node remove`"})
	}
	return all
}

// holdOf gives how long a node goes on alone with all that it may: the shortest hold of the
// segments of which it is a member, or to which it leads. What a segment has end within
// hours (lapse) is meant to end.
func holdOf(pol *policy.Policy, n *registry.Node) time.Duration {
	shortest := policy.LongestHold
	for _, name := range pol.Segments() {
		s, _ := pol.Segment(name)
		if s.Offline > 0 && !s.Lapses && slices.ContainsFunc(s.Members, func(m policy.Selector) bool { return serves(pol, n, m) }) {
			shortest = min(shortest, s.Offline)
		}
	}
	return shortest
}

// serves tells whether a node is what a segment's member names, or carries what is.
func serves(pol *policy.Policy, n *registry.Node, m policy.Selector) bool {
	if m.Kind == policy.Tag {
		return slices.Contains(n.Tags, m.Name)
	}
	own := n.Routes()
	for _, addr := range n.Addresses {
		own = append(own, netip.PrefixFrom(addr, addr.BitLen()))
	}
	return slices.ContainsFunc(pol.Prefixes(m), func(p netip.Prefix) bool { return slices.ContainsFunc(own, p.Overlaps) })
}
