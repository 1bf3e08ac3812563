package filter

import (
	"time"

	"github.com/cordonmesh/cordon/acl"
)

// Direction of a packet, or of a flow's first packet.
type Direction uint8

// In is from the mesh to this node or to what is behind it, Out the reverse.
const (
	In Direction = iota
	Out
)

// String gives "in" or "out".
func (d Direction) String() string {
	if d == Out {
		return "out"
	}
	return "in"
}

func (d Direction) reverse() Direction { return d ^ 1 }

// flow is one entry of the flow table: 128 bytes, two cache lines, of which a
// packet of an established flow reads the first and counts in the second. It
// holds no pointer, so the garbage collector need not look at a million of them.
type flow struct {
	key
	version uint32 // of the rule set that permitted it; 0: ask at every packet
	rule    int32  // in Table.rules, meaningful only under that version
	end     int64  // time since boot at which to ask again
	idle    int64  // time since boot at which the flow is forgotten

	packets, bytes [2]uint64 // by Direction
	started        int64     // policy time

	serial     uint32 // unlike that of any other recent flow; in its records
	tag        uint32 // of the id of the rule that permitted it; or, if metered, its meter
	account    int32  // who pays for the entry
	next, prev int32  // in the account's list
	origin     Direction
	state      state
	fast       uint8 // bit 1<<Direction: packets that way need no second look; and marks
	rest       rest
}

// state of a flow. It decides how long the flow may be idle.
type state uint8

const (
	opening state = iota // packets from one side only
	open                 // from both
	closing              // a FIN or RST was seen
	revoked              // not permitted any more; remembered, so that no packet of it can begin another
)

// Marks that stand beside the directions.
const (
	guessed   = 1 << 7 // begun by a TCP segment that was no SYN: who opened the connection is not known
	logged    = 1 << 6 // its start is in the records, so its end must be
	monitored = 1 << 5 // nothing but a rule that monitors permits it
	draining  = 1 << 4 // its right has ended, and end is when it is cut off
	metered   = 1 << 3 // its bytes count by a limit: no direction is marked, and tag is the number of a meter
	seated    = 1 << 2 // it is a seat's: whose session has it stands beside the table

	marks = guessed | logged | monitored | draining | metered | seated
)

// rest is an index of idle times.
type rest uint8

const (
	restTCP rest = iota
	restTCPShort
	restSCTP
	restPair
	restOneWay
	restICMP
	rests = 8 // a power of two, so that an index needs no check
)

// Idle times. A medical feed (HL7) rests from the evening to the morning, and
// its ends would not notice that it is gone until they lose a message. What is
// forgotten too early costs one verdict, since TCP is taken up again.
const (
	idleTCP      = 26 * time.Hour
	idleTCPShort = time.Minute // opening or closing: what a SYN flood leaves
	idleSCTP     = 15 * time.Minute
	idlePair     = 3 * time.Minute
	idleOneWay   = 30 * time.Second
	idleICMP     = 30 * time.Second

	fragmentLife = 15 * time.Second
)

// span is how long a flow may rest, in nanoseconds.
func (r rest) span() int64 {
	switch r {
	case restTCP:
		return int64(idleTCP)
	case restTCPShort:
		return int64(idleTCPShort)
	case restSCTP:
		return int64(idleSCTP)
	case restPair:
		return int64(idlePair)
	case restOneWay:
		return int64(idleOneWay)
	}
	return int64(idleICMP)
}

// resting says which idle time is the flow's in its state.
func (fl *flow) resting() rest {
	proto := fl.proto()
	switch {
	case proto == acl.TCP && (fl.state == opening || fl.state == closing):
		return restTCPShort
	case proto == acl.TCP:
		return restTCP
	case fl.isICMP():
		return restICMP
	case fl.state == opening:
		return restOneWay
	case proto == acl.SCTP:
		return restSCTP
	}
	return restPair
}

// last is when the flow's last packet passed.
func (fl *flow) last() int64 { return fl.idle - fl.rest.span() }

// enter puts the flow into a state and says which packets need no second look.
func (fl *flow) enter(s state, now int64) {
	fl.state = s
	fl.fast &= marks
	switch {
	case s == revoked:
		fl.version = 0
	case fl.fast&metered != 0:
	case s == opening:
		fl.fast |= 1 << fl.origin
	default:
		fl.fast |= 1<<In | 1<<Out
	}
	fl.rest = fl.resting()
	fl.idle = now + fl.rest.span()
}
