package wire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cordonmesh/cordon/acl"
)

// DiffPeerSeats gives the change of seats that makes b of a, two records of one peer;
// nil if they are equal, or differ in anything else.
func DiffPeerSeats(a, b PeerRecord) *SeatDelta {
	d := diffSeats(b.ID, a.Seats, b.Seats)
	a.Seats, b.Seats = nil, nil
	if d.isEmpty() || PeerDigest(a) != PeerDigest(b) {
		return nil
	}
	return d
}

// DiffSelfSeats is DiffPeerSeats of what a node is told about itself. The sessions there
// go with the seats that they have.
func DiffSelfSeats(a, b SelfRecord) *SeatDelta {
	d := diffSeats(b.ID, a.Seats, b.Seats)
	for _, s := range b.Sessions {
		if old, held := find(a.Sessions, s.ID, sessionID); !held || !old.same(s) {
			d.Sessions = append(d.Sessions, s.Proto())
		}
	}
	ended := append(missing(a.Seats, b.Seats, seatID), missing(a.Sessions, b.Sessions, sessionID)...)
	d.End = sorted(ended, strings.Compare)
	for _, id := range d.End { // ends the session with its seat: of one alone nothing can be said
		_, sits := find(b.Seats, id, seatID)
		if _, lasts := find(b.Sessions, id, sessionID); sits || lasts {
			return nil
		}
	}
	a.Seats, b.Seats, a.Sessions, b.Sessions = nil, nil, nil, nil
	if d.isEmpty() || SelfDigest(a) != SelfDigest(b) {
		return nil
	}
	return d
}

func diffSeats(node string, a, b []Seat) *SeatDelta {
	d := &SeatDelta{Node: node, End: missing(a, b, seatID)}
	for _, s := range b {
		if old, held := find(a, s.Session, seatID); !held || !old.same(s) {
			d.Put = append(d.Put, s.Proto())
		}
	}
	return d
}

func (d *SeatDelta) isEmpty() bool { return len(d.GetPut())+len(d.GetEnd())+len(d.GetSessions()) == 0 }

// same tells whether s and o travel as the same record.
func (s Seat) same(o Seat) bool {
	sameFact := func(a, b acl.FactEnd) bool {
		return a.Fact == b.Fact && secondsDown(a.Until) == secondsDown(b.Until)
	}
	return s.Session == o.Session && slices.Equal(s.Addresses, o.Addresses) && slices.Equal(s.Prefixes, o.Prefixes) &&
		slices.EqualFunc(s.Facts, o.Facts, sameFact)
}

func (s Session) same(o Session) bool {
	return s.ID == o.ID && s.User == o.User && secondsDown(s.At) == secondsDown(o.At) && secondsDown(s.Until) == secondsDown(o.Until) &&
		slices.Equal(s.AMR, o.AMR) && s.ACR == o.ACR && s.Seat == o.Seat
}

// applySeats changes the seats of those whose whole record d does not bring. It adds the
// peers to those that changed, and tells whether the node itself did.
func (m *Map) applySeats(d *Delta, changed map[string]bool, revoked map[string]RevokedKey) (self bool, err error) {
	for _, change := range d.GetSeats() {
		id := change.GetNode()
		peer, held := m.Peers[id]
		_, gone := revoked[id]
		switch {
		case gone: // no gap: the sender does not know that there is no such node any more
			return false, fmt.Errorf("%w: seats at %s are in the message", ErrRevoked, id)
		case held && !changed[id]:
			m.Peers[id], err = reseatPeer(peer, change)
			changed[id] = true
		case id == m.Self.ID && d.GetSelf() == nil && !self:
			m.Self, err = reseatSelf(m.Self, change)
			self = true
		default:
			err = malformed("changes seats at %q, which is not in the map or named twice", clip(id))
		}
		if err != nil {
			return false, err
		}
	}
	return self, nil
}

func reseatPeer(p PeerRecord, change *SeatDelta) (PeerRecord, error) {
	var d decoder
	d.check(len(change.GetSessions()) == 0, "sessions are told of a peer")
	put, end := d.seatChange(change)
	d.there(end, p.Seats, nil)
	p.Seats = merge(p.Seats, put, end, seatID)
	d.apart(p.Addresses, p.Seats)
	return p, d.of("seats of peer " + clip(p.ID))
}

func reseatSelf(s SelfRecord, change *SeatDelta) (SelfRecord, error) {
	var d decoder
	put, end := d.seatChange(change)
	sessions := d.sessions(change.GetSessions())
	endsNone(&d, end, sessions, sessionID)
	d.there(end, s.Seats, s.Sessions)
	s.Seats = merge(s.Seats, put, end, seatID)
	s.Sessions = merge(s.Sessions, sessions, end, sessionID)
	d.check(len(s.Sessions) <= maxPrefixes, "%d sessions at one node, at most %d", len(s.Sessions), maxPrefixes)
	d.apart(s.Addresses, s.Seats)
	return s, d.of("seats of this node")
}

func (d *decoder) seatChange(change *SeatDelta) (put []Seat, end []string) {
	d.check(!change.isEmpty(), "a change of seats that changes none")
	put = decodeList(d, "seats", change.GetPut(), compareSeat, ParseSeat)
	end = decodeWords[string](d, "ended sessions", change.GetEnd())
	endsNone(d, end, put, seatID)
	return put, end
}

// endsNone refuses to end what the same message brings: whether it is there after
// that, two readers could see differently.
func endsNone[T any](d *decoder, end []string, put []T, idOf func(T) string) {
	for _, id := range end {
		_, brought := find(put, id, idOf)
		d.check(!brought, "ends session %q and brings it", clip(id))
	}
}

// there refuses the end of what is not there: who knew less than the sender believes
// may as well hold somebody who has gone.
func (d *decoder) there(end []string, seats []Seat, sessions []Session) {
	for _, id := range end {
		_, sits := find(seats, id, seatID)
		_, known := find(sessions, id, sessionID)
		d.check(sits || known, "ends session %q, which is not there", clip(id))
	}
}

func seatID(s Seat) string       { return s.Session }
func sessionID(s Session) string { return s.ID }

// find looks an id up in a list that ascends by ids.
func find[T any](list []T, id string, idOf func(T) string) (one T, found bool) {
	i, found := slices.BinarySearchFunc(list, id, func(t T, id string) int { return strings.Compare(idOf(t), id) })
	if found {
		one = list[i]
	}
	return one, found
}

// missing gives the ids of a that b has not.
func missing[T any](a, b []T, idOf func(T) string) (ids []string) {
	for _, t := range a {
		if _, stays := find(b, idOf(t), idOf); !stays {
			ids = append(ids, idOf(t))
		}
	}
	return ids
}

// merge gives a list without what ended, and with what was put, in place of what had its id.
func merge[T any](list, put []T, end []string, idOf func(T) string) (out []T) {
	for _, t := range list {
		_, replaced := find(put, idOf(t), idOf)
		if _, ended := slices.BinarySearch(end, idOf(t)); !ended && !replaced {
			out = append(out, t)
		}
	}
	out = append(out, put...)
	slices.SortFunc(out, func(a, b T) int { return strings.Compare(idOf(a), idOf(b)) })
	return out
}
