package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxActive bounds of how many nodes one event tells.
const maxActive = 100_000

// Activity is what a person did at a node.
type Activity struct {
	At    time.Time     // the last of it
	Pause time.Duration // the longest without any, of what was not told before
}

// Sitting names whose activity it is: of a session at a node, or of whoever is signed
// in there at the whole machine.
type Sitting struct {
	Node    string // id
	Session string // id; empty: the whole machine's
}

// Is tells whether a session at the node is meant.
func (at Sitting) Is(s *Session) bool {
	return at.Session == s.ID || at.Session == "" && s.Seat == ""
}

// SeatActive is when the person of a session last did something.
type SeatActive struct {
	Node    string `json:"node"`
	Session string `json:"session"`
	At      int64  `json:"at"`              // Unix seconds
	Pause   int64  `json:"pause,omitempty"` // Session.Pause in seconds, if it grew
}

// LastActive is when the person last did something at the node: proved who they are,
// or sent something.
func (s *Session) LastActive() time.Time {
	if s.Active.After(s.Heard) {
		return s.Active
	}
	return s.Heard
}

func (PeopleActive) kind() string { return "people-active" }

// decide takes nothing of the time to come, nor from before the session, nor for
// nobody's. There is no record in the audit: it would drown the others.
func (c NoteActive) decide(d *decision) error {
	if len(c.Of) > maxActive {
		return fmt.Errorf("%w: people were active at %d nodes, at most %d are told of at once", ErrInvalid, len(c.Of), maxActive)
	}
	v := PeopleActive{At: map[string]int64{}, Pauses: map[string]int64{}}
	for at, a := range c.Of {
		for _, s := range d.state.SessionsAt(at.Node) {
			if at.Is(s) && s.Live(d.now) {
				v.note(at, s, Activity{earlier(a.At, d.now), a.Pause})
			}
		}
	}
	slices.SortFunc(v.Seats, func(a, b SeatActive) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.Session, b.Session))
	})
	if len(v.At)+len(v.Seats) > 0 {
		d.emit(v)
	}
	return nil
}

// note takes down what is news of a session. What was told before, or before the
// session, is no pause of it.
func (v *PeopleActive) note(at Sitting, s *Session, a Activity) {
	when := a.At.UTC().Truncate(time.Second) // as facts are
	if !when.After(s.LastActive()) {
		return
	}
	pause := int64(min(a.Pause, when.Sub(s.LastActive())) / time.Second)
	if pause <= int64(s.Pause/time.Second) {
		pause = 0
	}
	if at.Session != "" {
		v.Seats = append(v.Seats, SeatActive{at.Node, s.ID, when.Unix(), pause})
		return
	}
	v.At[at.Node] = when.Unix()
	if pause > 0 {
		v.Pauses[at.Node] = pause
	}
}

func (v PeopleActive) apply(s *State, _ Entry) {
	for node, at := range v.At {
		s.active(Sitting{Node: node}, at, v.Pauses[node])
	}
	for _, a := range v.Seats {
		s.active(Sitting{a.Node, a.Session}, a.At, a.Pause)
	}
}

func (s *State) active(at Sitting, seconds, pause int64) {
	when := time.Unix(seconds, 0).UTC()
	for _, one := range s.SessionsAt(at.Node) {
		if at.Is(one) && when.After(one.LastActive()) && one.Live(when) {
			next := *one
			next.Active = when
			next.Pause = max(next.Pause, time.Duration(pause)*time.Second)
			s.putSession(&next)
		}
	}
}

// Nodes gives the ids of the nodes at which somebody was active.
func (v PeopleActive) Nodes() []string {
	ids := slices.Collect(maps.Keys(v.At))
	for _, a := range v.Seats {
		ids = append(ids, a.Node)
	}
	return ids
}
