package filter

import (
	"fmt"

	"github.com/cordonmesh/cordon/acl"
)

// seat is an acl.Seat, compiled.
type seat struct {
	session string
	facts   facts
	row     uint32 // in needs
}

// nobodys is the seat of a home that is no session's, but its party's.
const nobodys = 0

// seats gives a holder's seats their homes.
func (b *compiler) seats(holder int32, list []acl.Seat) error {
	sessions := make(map[string]bool, len(list))
	for i := range list {
		s := &list[i]
		if s.Session == "" || sessions[s.Session] {
			return fmt.Errorf("session %q of a seat is empty or there twice", s.Session)
		}
		sessions[s.Session] = true
		b.table.seats = append(b.table.seats, seat{session: s.Session, facts: b.factsOf(s.Facts)})
		for _, pc := range s.Prefixes {
			if err := b.place(holder, uint32(len(b.table.seats)), pc); err != nil {
				return fmt.Errorf("seat of session %s: %w", s.Session, err)
			}
		}
	}
	return nil
}

// with says who is at a home, so that no two who are not the same are told as one:
// the party or one of its seats.
type with struct {
	holder int32
	seat   uint32
}

func (h *home) with() with {
	if h == nil {
		return with{holder: nobody}
	}
	return with{h.holder, h.seat}
}
