package filter

import (
	"time"

	"github.com/cordonmesh/cordon/acl/packet"
)

// activeGrain is how exactly it is known when somebody was active, so that a
// download is not looked at packet by packet.
const activeGrain = int64(100 * time.Millisecond)

// nothing is how many bytes a TCP segment may carry that says nothing: some systems
// probe a silent connection with one.
const nothing = 1

// sitters are those of whom it is known when they last did something here: the whole
// machine, and each who has a seat at it. One who works keeps nobody else's session
// alive.
type sitters struct {
	all []sitter // [0] is the whole machine; the rest by home.seat

	// Of the last one looked at, since packets come in runs.
	stirs int64       // time since boot from which on it is worth a look again
	own   packet.Addr // valid if there are seats
	last  int         // in all
}

type sitter struct {
	session string // whose seat it is; empty: the whole machine's
	active  int64  // time since boot, as Active says; never: not yet
	pause   int64  // the longest between two activities since Resume, in nanoseconds
	resumed int64  // time since boot at which that ended
	stirs   int64  // time since boot from which on it is worth a look again
}

func newSitters() sitters { return sitters{all: []sitter{{active: never}}, stirs: never} }

// seat seats those who have a seat by a table. Who stays keeps what is known of them.
func (s *sitters) seat(t *Table) {
	next := append(make([]sitter, 0, 1+t.own), s.all[0])
	for i := range t.seats[:t.own] {
		now := sitter{session: t.seats[i].session, active: never}
		if was := s.find(now.session); was != nil {
			now = *was
		}
		next = append(next, now)
	}
	*s = sitters{all: next, stirs: never}
}

func (s *sitters) find(session string) *sitter {
	for i := range s.all {
		if s.all[i].session == session {
			return &s.all[i]
		}
	}
	return nil
}

// turned reports whether an own address may be another one's than was last looked at.
func (s *sitters) turned(own *packet.Addr) bool { return len(s.all) > 1 && *own != s.own }

// at gives who sends from an address at this node's end of flows.
func (s *sitters) at(own packet.Addr, t *Table) *sitter {
	if s.turned(&own) {
		s.own, s.last = own, 0
		if h := t.home(own); h.heldBy() == self {
			s.last = int(h.seat)
		}
	}
	return &s.all[s.last]
}

// Active gives when, in time since boot, who has the seat of a session ("": this whole
// machine, or one behind it) last sent something in a flow that they had opened, by TCP
// or UDP. Answers to others, pings, and segments that only acknowledge or keep a
// connection alive are nothing. It is false if that never was. Pause is the longest time
// between two such packets since Resume: who was away for so long may have been replaced
// by somebody else.
func (f *Filter) Active(session string) (boot, pause time.Duration, ever bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sitters.find(session)
	if s == nil || s.active == never {
		return 0, 0, false
	}
	return time.Duration(s.active), time.Duration(s.pause), true
}

// Resume forgets a session's pauses that had ended by an activity, in time since boot.
func (f *Filter) Resume(session string, boot time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sitters.find(session); s != nil && s.resumed <= int64(boot) {
		s.pause = 0
	}
}

// stir notes that an outbound packet passed in a flow.
func (f *Filter) stir(fl *flow, p *packet.Packet) {
	if fl.origin != Out {
		return
	}
	s := f.sitters.at(fl.own, f.table)
	if f.now.Boot >= s.stirs && p.Payload() > nothing {
		s.act(f.now.Boot)
	}
	f.sitters.stirs = s.stirs
}

func (s *sitter) act(now int64) {
	pause := int64(forever) // of a time before this filter nothing is known
	if s.active != never {
		pause = now - s.active
	}
	if pause > s.pause {
		s.pause, s.resumed = pause, now
	}
	s.active, s.stirs = now, now+activeGrain
}
