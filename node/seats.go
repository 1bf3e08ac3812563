package node

import (
	"context"
	"errors"

	"github.com/cordonmesh/cordon/node/internal/plane"
)

var errNoSeats = errors.New("this machine cannot tell its people apart: nobody but the whole machine can be signed in here")

// SetSeats refuses seats: whoever reaches a door of the stack is a program of this
// machine, and which person's it is the stack does not hear.
func (w *stackWorld) SetSeats(_ context.Context, seats []plane.Seat) error { return noSeats(seats) }

// SetSeats refuses seats, which the machine's network does not tie to accounts.
func (w *tunWorld) SetSeats(_ context.Context, seats []plane.Seat) error { return noSeats(seats) }

func noSeats(seats []plane.Seat) error {
	if len(seats) > 0 {
		return errNoSeats
	}
	return nil
}
