package engine

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/plane"
)

// seats are the accounts that have addresses of their own here, by ascending uid. A
// session of no account of this system has none: nobody could be held to it. Nor has
// the second of one account, since its packets could not be told from the first's.
func seats(self *wire.SelfRecord) (all []plane.Seat) {
	for i := range self.Seats {
		if uid, ok := account(self, self.Seats[i].Session); ok {
			all = append(all, plane.Seat{UID: uid, Addresses: self.Seats[i].Addresses})
		}
	}
	slices.SortStableFunc(all, func(a, b plane.Seat) int { return cmp.Compare(a.UID, b.UID) })
	return slices.CompactFunc(all, func(a, b plane.Seat) bool { return a.UID == b.UID })
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
