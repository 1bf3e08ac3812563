package registry

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxActive bounds of how many nodes one event tells.
const maxActive = 100_000

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
	if len(c.At) > maxActive {
		return fmt.Errorf("%w: people were active at %d nodes, at most %d are told of at once", ErrInvalid, len(c.At), maxActive)
	}
	at := make(map[string]int64)
	for _, node := range slices.Sorted(maps.Keys(c.At)) {
		when := earlier(c.At[node], d.now).UTC().Truncate(time.Second) // as facts are
		if slices.ContainsFunc(d.state.SessionsAt(node), func(s *Session) bool { return s.Live(d.now) && when.After(s.LastActive()) }) {
			at[node] = when.Unix()
		}
	}
	if len(at) > 0 {
		d.emit(PeopleActive{At: at})
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
				s.putSession(&next)
			}
		}
	}
}
