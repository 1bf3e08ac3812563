package engine

import (
	"cmp"
	"context"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cordonmesh/cordon/acl"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// ownSeats gives the accounts that have addresses of their own here, by ascending uid,
// and beside each its seat as the rules know it. A session of no account of this system has
// none: nobody could be held to it. Nor has the second of one account, since its
// packets could not be told from the first's.
func ownSeats(self *wire.SelfRecord) (accounts []plane.Seat, known []acl.Seat) {
	for i := range self.Seats {
		s := &self.Seats[i]
		uid, ok := account(self, s.Session)
		if !ok || slices.ContainsFunc(accounts, func(a plane.Seat) bool { return a.UID == uid }) {
			continue
		}
		at, _ := slices.BinarySearchFunc(accounts, uid, func(a plane.Seat, uid uint32) int { return cmp.Compare(a.UID, uid) })
		accounts = slices.Insert(accounts, at, plane.Seat{UID: uid, Addresses: s.Addresses})
		known = slices.Insert(known, at, seat(s))
	}
	return accounts, known
}

// account gives the uid whose session that is. Root is nobody's account, and sees
// through every wall between the others.
func account(self *wire.SelfRecord, session string) (uid uint32, ok bool) {
	i := slices.IndexFunc(self.Sessions, func(s wire.Session) bool { return s.ID == session })
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(self.Sessions[i].Seat, 10, 32)
	return uint32(n), err == nil && n != 0 && n != math.MaxUint32 && strconv.FormatUint(n, 10) == self.Sessions[i].Seat
}

// seats gives seats as the rules know them.
func seats(all []wire.Seat) (known []acl.Seat) {
	for i := range all {
		known = append(known, seat(&all[i]))
	}
	return known
}

func seat(s *wire.Seat) acl.Seat {
	return acl.Seat{Session: s.Session, Prefixes: owned(s.Addresses, nil, s.Prefixes), Facts: s.Facts}
}

// seated adds the addresses of seats to a machine's own.
func seated(own []netip.Addr, all []wire.Seat) []netip.Addr {
	own = slices.Clip(own) // whose room is not ours
	for i := range all {
		own = append(own, all[i].Addresses...)
	}
	return own
}

// tied gives what the plane may know: of the accounts here those alone that nobody else
// can speak as. Told of others, it would take a stranger's packets for theirs.
func (d *Desired) tied(told []plane.Seat) (cfg plane.Config, given []plane.Seat) {
	cfg = d.Plane
	cfg.Self.Seats = nil
	for i, s := range d.Seats {
		if slices.ContainsFunc(told, s.Same) {
			cfg.Self.Seats = append(cfg.Self.Seats, d.Plane.Self.Seats[i])
			given = append(given, s)
		}
	}
	return cfg, given
}

// reseat has the plane know who is tied now, if that is not what it knows.
func (e *Engine) reseat(ctx context.Context, in *Input, want *Desired, news uint64) error {
	_, given := want.tied(e.done.seats.what)
	if slices.EqualFunc(given, e.done.plane.seats, plane.Seat.Same) {
		return nil
	}
	e.done.plane.set = false
	return e.configure(ctx, in, want, news)
}

// CheckSeats has the seats told again, as when somebody took away what ties them.
func (e *Engine) CheckSeats() {
	e.mu.Lock()
	e.untied = true
	e.mu.Unlock()
	e.nudge()
}
