package registry

import (
	"fmt"
	"time"
)

// maxActive bounds of how many nodes one event tells.
const maxActive = 100_000

// Activity is what a person did at a node.
type Activity struct {
	At    time.Time     // the last of it
	Pause time.Duration // the longest without any, of what was not told before
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
	for node, a := range c.Of {
		when := earlier(a.At, d.now).UTC().Truncate(time.Second) // as facts are
		for _, s := range d.state.SessionsAt(node) {
			if !s.Live(d.now) || !when.After(s.LastActive()) {
				continue
			}
			v.At[node] = when.Unix()
			// What was told before, or before the session, is no pause of it.
			if pause := min(a.Pause, when.Sub(s.LastActive())).Truncate(time.Second); pause > s.Pause {
				v.Pauses[node] = int64(pause / time.Second)
			}
		}
	}
	if len(v.At) > 0 {
		d.emit(v)
	}
	return nil
}

func (v PeopleActive) apply(s *State, _ Entry) {
	for node, at := range v.At {
		when := time.Unix(at, 0).UTC()
		for _, one := range s.SessionsAt(node) {
			if when.After(one.LastActive()) && one.Live(when) {
				next := *one
				next.Active = when
				next.Pause = max(next.Pause, time.Duration(v.Pauses[node])*time.Second)
				s.putSession(&next)
			}
		}
	}
}
