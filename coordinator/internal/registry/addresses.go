package registry

import (
	"fmt"
	"net/netip"
)

// uniqueAddresses checks that no two nodes have one address.
func (s *State) uniqueAddresses() error {
	owner := make(map[netip.Addr]string, 2*s.NodeCount())
	for n := range s.Nodes() {
		for _, a := range n.Addresses {
			if other, taken := owner[a]; taken {
				return fmt.Errorf("nodes %q and %q both have the address %v", other, n.ID, a)
			}
			owner[a] = n.ID
		}
	}
	return nil
}

// Overlaps gives the mesh range that p overlaps, if any. Such a prefix is never
// a route: it would capture other nodes' addresses. The default route does
// overlap every range, and is a route (an exit) all the same: it is shorter.
func (s *State) Overlaps(p netip.Prefix) (netip.Prefix, bool) {
	if p.Bits() == 0 {
		return netip.Prefix{}, false
	}
	for _, r := range s.Ranges() {
		if r.IsValid() && r.Overlaps(p) {
			return r, true
		}
	}
	return netip.Prefix{}, false
}
