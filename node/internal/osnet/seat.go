package osnet

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
)

// MaxSeats is how many there may be: each has a routing table of its own.
const MaxSeats = 64

// Seat is an account of this machine that speaks with addresses of its own. Its
// programs do so by themselves, unless they choose another address; no other
// account's can.
type Seat struct {
	UID       uint32 // neither 0 nor that of this process, which sends for everybody
	Addresses []netip.Addr
}

// addSeat takes a seat whose addresses are nobody else's.
func (w *Want) addSeat(s Seat) error {
	switch {
	case s.UID == 0 || s.UID == math.MaxUint32 || int(s.UID) == os.Geteuid():
		return fmt.Errorf("osnet: the account %d can have no addresses of its own: it is root's, this process's or nobody's", s.UID)
	case slices.ContainsFunc(w.Seats, func(t Seat) bool { return t.UID == s.UID }):
		return fmt.Errorf("osnet: the account %d is there twice", s.UID)
	case len(w.Seats) == MaxSeats:
		return fmt.Errorf("osnet: no room for the account %d: at most %d can have addresses of their own", s.UID, MaxSeats)
	}
	var errs []error
	out := Seat{UID: s.UID}
	for _, a := range s.Addresses {
		if a = a.Unmap(); !isOwnable(a) || slices.Contains(w.all(), a) {
			errs = append(errs, fmt.Errorf("osnet: %q cannot be the address of account %d: it is another's, or nobody's", a, s.UID))
			continue
		}
		out.Addresses = appendNew(out.Addresses, a)
	}
	w.Seats = append(w.Seats, out)
	return errors.Join(errs...)
}

// all are the TUN's addresses, those of seats too.
func (w *Want) all() []netip.Addr {
	all := slices.Clone(w.Addresses)
	for _, s := range w.Seats {
		all = append(all, s.Addresses...)
	}
	return all
}

// source gives the address of a family in a list; the zero Addr if there is none.
func source(is4 bool, addrs []netip.Addr) netip.Addr {
	if i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is4() == is4 }); i >= 0 {
		return addrs[i]
	}
	return netip.Addr{}
}
