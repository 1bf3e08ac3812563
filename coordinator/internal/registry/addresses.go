package registry

import (
	"fmt"
	"net/netip"

	"github.com/cordonmesh/cordon/coordinator/internal/ipam"
)

// takeAddresses gives an address of each range that nobody ever had, and the pools
// without them.
func (s *State) takeAddresses() (pair []netip.Addr, pool4, pool6 ipam.Pool, err error) {
	a4, pool4, err := s.IPv4.Take()
	if err != nil {
		return nil, pool4, pool6, err
	}
	a6, pool6, err := s.IPv6.Take()
	return []netip.Addr{a4, a6}, pool4, pool6, err
}

// uniqueAddresses checks that no two nodes or seats have one address.
func (s *State) uniqueAddresses() error {
	owner := make(map[netip.Addr]string, 2*s.NodeCount())
	own := func(what string, all []netip.Addr) error {
		for _, a := range all {
			if other, taken := owner[a]; taken {
				return fmt.Errorf("%s and %s both have the address %v", other, what, a)
			}
			owner[a] = what
		}
		return nil
	}
	for n := range s.Nodes() {
		if err := own("node "+n.ID, n.Addresses); err != nil {
			return err
		}
	}
	for one := range s.Sessions() {
		if err := own("session "+one.ID, one.Addresses); err != nil {
			return err
		}
	}
	for _, r := range s.SortedRests() {
		if err := own("a seat at "+r.Node, r.Addresses); err != nil {
			return err
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
