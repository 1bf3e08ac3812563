package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// makeWay ends the sessions at a machine beside which one that begins cannot be. At the
// whole machine one sits at a time, and alone: what it proves counts for everybody's
// packets there. So a seat ends that session too, whoever's it is.
func (d *decision) makeWay(n *Node, s *Session) {
	var others, own, over []string
	var mine []*Session
	for _, o := range d.state.SessionsAt(n.ID) {
		switch beside := s.Seat != "" && o.Seat != ""; {
		case o.sharesSeat(s):
		case beside && !o.Live(d.now):
			if o.Seat == s.Seat || !d.drains(o) {
				over = append(over, o.ID)
			}
		case beside && o.User == s.User:
			mine = append(mine, o)
		case beside && o.Seat != s.Seat:
		case o.User == s.User:
			own = append(own, o.ID)
		default:
			others = append(others, o.ID)
		}
	}
	d.end(n.ID, others, "somebody else signed in")
	d.end(n.ID, own, "the same person signed in at another seat, or at the whole machine")
	d.end(n.ID, over, "its time was over")
	d.end(n.ID, beyond(mine), fmt.Sprintf("the same person signed in at more than %d seats there", MaxOwnSeats))
	d.end(n.ID, d.crowding(n, s), "its time was over, and its room was needed")
}

// drains tells whether what is open of a session whose time is over may go on. With its
// seat it would be cut off.
func (d *decision) drains(s *Session) bool {
	pol, _ := d.state.Policy().Parsed() // an unreadable policy is nil, and lets nothing drain
	return d.now.Before(s.Until.Add(pol.Drains()))
}

// crowding gives the ids of the seats whose time is over and which leave no room for a
// session: of those who are over for longest.
func (d *decision) crowding(n *Node, s *Session) (ids []string) {
	var over []*Session
	taken := 0
	for _, o := range d.state.SessionsAt(n.ID) {
		if o.sharesSeat(s) {
			return nil
		}
		if taken++; !o.Live(d.now) {
			over = append(over, o)
		}
	}
	slices.SortFunc(over, func(a, b *Session) int { return cmp.Or(a.Until.Compare(b.Until), strings.Compare(a.ID, b.ID)) })
	for _, o := range over[:min(len(over), max(0, taken+1-MaxSeats))] {
		ids = append(ids, o.ID)
	}
	return ids
}

// beyond gives the ids of those of a person's seats that make way for one more: which the
// person proved longest ago.
func beyond(mine []*Session) (ids []string) {
	slices.SortFunc(mine, func(a, b *Session) int {
		return cmp.Or(a.Heard.Compare(b.Heard), a.Begun.Compare(b.Begun), strings.Compare(a.ID, b.ID))
	})
	for _, o := range mine[:max(0, len(mine)+1-MaxOwnSeats)] {
		ids = append(ids, o.ID)
	}
	return ids
}

// seat gives the event by which a session begins, or goes on: with addresses, if it has
// a seat.
func (d *decision) seat(n *Node, s Session) (SessionPut, error) {
	put := SessionPut{Session: s}
	if s.Seat == "" {
		return put, nil
	}
	taken := 0
	for _, o := range d.state.SessionsAt(n.ID) {
		if o.sharesSeat(&s) {
			put.Session.Addresses, put.Session.Known = o.Addresses, o.known()
			return put, nil
		}
		taken++
	}
	if taken >= MaxSeats {
		return put, fmt.Errorf("%w: %d people are signed in at %s, at most %d can be: somebody has to sign out there first", ErrUser, taken, n.Name, MaxSeats)
	}
	if r := d.state.rested(n.ID, s.User, d.now); r != nil {
		put.Session.Addresses, put.Session.Known = r.Addresses, r.Until
		return put, nil
	}
	addresses, pool4, pool6, err := d.state.takeAddresses()
	if err != nil {
		return put, exhausted("a seat at "+n.Name, err)
	}
	put.Session.Addresses, put.IPv4, put.IPv6 = addresses, &pool4, &pool6
	return put, nil
}

// endOver ends the seats whose time was over: whoever sat down there since may be
// unknown to a state of before.
func (d *decision) endOver() {
	d.endAll("its time was over", func(s *Session) bool { return s.Seat != "" && !s.Live(d.now) })
}

// apply keeps the pools as they are where no address was taken from them.
func (v SessionPut) apply(s *State, _ Entry) {
	s.putSession(&v.Session)
	if v.IPv4 != nil && v.IPv6 != nil {
		s.IPv4, s.IPv6 = *v.IPv4, *v.IPv6
	}
}
