package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/osnet"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

var errNoSeats = errors.New("this machine cannot tell its people apart: nobody but the whole machine can be signed in here")

// SetSeats refuses seats: whoever reaches a door of the stack is a program of this
// machine, and which person's it is the stack does not hear.
func (w *stackWorld) SetSeats(_ context.Context, seats []plane.Seat) error { return noSeats(seats) }

func noSeats(seats []plane.Seat) error {
	if len(seats) > 0 {
		return errNoSeats
	}
	return nil
}

// share refuses: see SetSeats.
func (w *stackWorld) share(shared bool) error {
	if shared {
		return errNoSeats
	}
	return nil
}

// SetSeats ties addresses to accounts in the machine's own network.
func (w *tunWorld) SetSeats(_ context.Context, seats []plane.Seat) error {
	err := w.apply(func(want *osnet.Want) {
		want.Seats = nil
		for _, s := range seats {
			want.Seats = append(want.Seats, osnet.Seat{UID: s.UID, Addresses: s.Addresses})
		}
	})
	return errors.Join(err, w.net.Untied())
}

// share readies the machine's network for seats, or tells why it cannot have any.
func (w *tunWorld) share(shared bool) error {
	if err := w.apply(func(want *osnet.Want) { want.Shared = shared }); err != nil {
		return err
	}
	if err := w.net.Unwalled(); shared && err != nil {
		return fmt.Errorf("%w: %w", errNoSeats, err)
	}
	return nil
}

// seatAt gives the seat that has an address; nil if none has.
func seatAt(seats []wire.Seat, a netip.Addr) *wire.Seat {
	for i := range seats {
		if slices.Contains(seats[i].Addresses, a) {
			return &seats[i]
		}
	}
	return nil
}

// factsAt gives the facts of who is at an address of a machine: the seat's, or its own.
func factsAt(own []acl.FactEnd, seats []wire.Seat, a netip.Addr) []acl.FactEnd {
	if s := seatAt(seats, a); s != nil {
		return s.Facts
	}
	return own
}
