package distribute

import (
	"slices"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
)

// seated tells the sessions at a node that are the whole machine's from those that have
// a seat. Only the first say anything of the machine itself: its own address is all
// people's there.
func seated(all []*registry.Session) (machine, seats []*registry.Session) {
	for _, s := range all {
		if s.Seat == "" {
			machine = append(machine, s)
		} else {
			seats = append(seats, s)
		}
	}
	return machine, seats
}

// seatsOf gives the seats at a node as it and its peers are told of them. A node that is
// not in the mesh has none, as it has no peers.
func (h *Hub) seatsOf(id string) (all []wire.Seat) {
	for _, s := range h.mesh.Seats(id) {
		all = append(all, wire.Seat{Session: s.Session, Addresses: s.Addrs, Prefixes: s.Prefixes, Facts: s.Facts})
	}
	return all
}

// sameSeats tells whether seats as they are weighed now are as the mesh has them.
func sameSeats(now []compile.Seat, had []compile.Seated) bool {
	return slices.EqualFunc(now, had, func(a compile.Seat, b compile.Seated) bool {
		return a.Session == b.Session && sameFacts(a.Facts, b.Facts)
	})
}
