package filter

import (
	"fmt"

	"github.com/cordonmesh/cordon/acl"
)

// seat is an acl.Seat, compiled.
type seat struct {
	session string
	token   uint64 // of the machine and the session, by which a flow knows whose it is in any table
	facts   facts
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
		b.table.seats = append(b.table.seats, seat{session: s.Session, token: hashOf(fmt.Sprintf("%q %q", b.table.holders[holder].id, s.Session)), facts: b.factsOf(s.Facts)})
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

// token gives whose session a flow between two homes is of; 0: it is between parties
// alone. No flow may be between two seats: that it is neither's does no harm.
func (t *Table) token(own, peer *home) uint64 { return t.tokenOf(own) ^ t.tokenOf(peer) }

func (t *Table) tokenOf(h *home) uint64 {
	if h == nil || h.seat == nobodys {
		return 0
	}
	return t.seats[h.seat-1].token
}

// token gives the session whose flow entry n is.
func (t *flows) token(n int32) uint64 {
	if t.at(n).fast&seated == 0 {
		return 0
	}
	return t.tokens[n>>chunkBits][n&(chunkSize-1)]
}

// seat notes whose session a flow that begins is of.
func (f *Filter) seat(fl *flow, n int32, e *ends) {
	if who := f.table.token(e.src, e.dst); who != 0 {
		fl.fast |= seated
		f.flows.tokens[n>>chunkBits][n&(chunkSize-1)] = who
	}
}

// handed reports whether an address of a flow has gone over to another session, or
// from one to its machine or back: the next person at a screen has nothing of the one
// before, not even what drains, since the machine that pays for it is the same. Where
// nobody stands now a flow is whose it was. Only a new table can tell otherwise than
// the one before.
func (f *Filter) handed(fl *flow, n int32) bool {
	t := f.table
	if t == nil || fl.version == f.version || fl.fast&seated == 0 && len(t.seats) == 0 {
		return false
	}
	own, peer := t.home(fl.own), t.home(fl.peer)
	return own.heldBy() >= self && peer.heldBy() >= self && t.token(own, peer) != f.flows.token(n)
}
