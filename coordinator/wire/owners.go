package wire

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// owners tells who owns what must have one owner: a prefix (or packets of one
// peer would count as another's), a tunnel key (WireGuard would merge the two
// peers), a name (people would reach the wrong machine).
type owners struct {
	prefixes map[netip.Prefix]string
	tunnels  map[key.TunnelPublic]string
	names    map[string]string
}

func newOwners(size int) *owners {
	return &owners{prefixes: make(map[netip.Prefix]string, 3*size),
		tunnels: make(map[key.TunnelPublic]string, size), names: make(map[string]string, size)}
}

// checkOwners checks the records that changed against each other and against
// all the rest, at a cost of one look-up for each claim of the rest.
func checkOwners(m Map, selfChanged bool, changed map[string]bool) error {
	o := newOwners(len(changed) + 1)
	if selfChanged {
		if err := o.self(m.Self, true); err != nil {
			return err
		}
	}
	for id := range changed {
		if err := o.peer(m.Peers[id], true); err != nil {
			return err
		}
	}
	if !selfChanged {
		if err := o.self(m.Self, false); err != nil {
			return err
		}
	}
	for id, p := range m.Peers {
		if changed[id] {
			continue
		}
		if err := o.peer(p, false); err != nil {
			return err
		}
	}
	return nil
}

func (o *owners) self(s SelfRecord, claim bool) error {
	if err := own(o.names, s.Name, s.ID, claim); err != nil {
		return err
	}
	return o.prefixesOf(s.ID, s.Addresses, s.Seats, s.Routes, s.Prefixes, claim)
}

func (o *owners) peer(p PeerRecord, claim bool) error {
	if err := own(o.names, p.Name, p.ID, claim); err != nil {
		return err
	}
	if !p.TunnelKey.IsZero() {
		if err := own(o.tunnels, p.TunnelKey, p.ID, claim); err != nil {
			return err
		}
	}
	return o.prefixesOf(p.ID, p.Addresses, p.Seats, p.Routes, p.Prefixes, claim)
}

// prefixesOf takes every prefix by which a record can be looked up.
func (o *owners) prefixesOf(id string, addresses []netip.Addr, seats []Seat, routes []netip.Prefix, classes []acl.PrefixClass, claim bool) error {
	addresses = slices.Clip(addresses) // whose room is not ours
	for _, s := range seats {
		addresses = append(addresses, s.Addresses...)
	}
	for _, a := range addresses {
		if err := own(o.prefixes, netip.PrefixFrom(a, a.BitLen()), id, claim); err != nil {
			return err
		}
	}
	for _, r := range routes {
		if err := own(o.prefixes, r, id, claim); err != nil {
			return err
		}
	}
	for _, c := range classes {
		if err := own(o.prefixes, c.Prefix, id, claim); err != nil {
			return err
		}
	}
	return nil
}

// own says that thing is id's, and remembers it if claim is set.
func own[T comparable](table map[T]string, thing T, id string, claim bool) error {
	if other, taken := table[thing]; taken && other != id {
		return fmt.Errorf("%w: %v belongs to %s and to %s", ErrTwoOwners, thing, other, id)
	}
	if claim {
		table[thing] = id
	}
	return nil
}
