package plane

import (
	"net/netip"
	"slices"
)

// Seat is an account of this machine's operating system whose session has addresses
// of its own: nothing but what that account's programs send may leave with them.
type Seat struct {
	UID       uint32 // neither root's nor the one that stands for none
	Addresses []netip.Addr
}

// Same tells whether o is the same account with the same addresses.
func (s Seat) Same(o Seat) bool { return s.UID == o.UID && slices.Equal(s.Addresses, o.Addresses) }
