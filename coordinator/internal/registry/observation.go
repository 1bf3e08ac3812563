package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Observation is what the coordinator saw outside of the mesh, and when. It is
// state like any other: every replica makes the same rules of it, and what nodes
// are told changes with a revision only.
type Observation struct {
	Time time.Time `json:"time"` // schedules are told ahead from this day on

	// Duty is until when people are on duty, by roster and by login.
	Duty map[string]map[string]time.Time `json:"duty,omitempty"`
}

// Observed gives the last observation; the zero one before the first.
func (s *State) Observed() Observation {
	if s.observed == nil {
		return Observation{}
	}
	return *s.observed
}

// maxDuty bounds how many people an observation may name.
const maxDuty = 100_000

func (v Observed) kind() string { return "observed" }

func (v Observed) apply(s *State, e Entry) { s.observed = &Observation{Time: e.Time, Duty: v.Duty} }

func (c Observe) decide(d *decision) error {
	people := 0
	for roster, on := range c.Duty {
		if err := checkWord("roster", roster); err != nil {
			return err
		}
		people += len(on)
	}
	if people > maxDuty {
		return fmt.Errorf("%w: %d people are on duty, at most %d may be", ErrInvalid, people, maxDuty)
	}
	was := d.state.Observed()
	if sameDay(was.Time, d.now) && sameDuty(was.Duty, c.Duty) {
		return nil
	}
	d.emit(Observed(c))
	d.record("mesh.observe", d.now.Format(time.DateOnly), "on duty: %s", dutyText(c.Duty))
	return nil
}

func sameDay(a, b time.Time) bool {
	return a.UTC().Truncate(24 * time.Hour).Equal(b.UTC().Truncate(24 * time.Hour))
}

func sameDuty(a, b map[string]map[string]time.Time) bool {
	return maps.EqualFunc(a, b, func(x, y map[string]time.Time) bool { return maps.EqualFunc(x, y, time.Time.Equal) })
}

// dutyText names who is on duty, the first few of each roster.
func dutyText(duty map[string]map[string]time.Time) string {
	const most = 8
	var all []string
	for _, roster := range slices.Sorted(maps.Keys(duty)) {
		people := slices.Sorted(maps.Keys(duty[roster]))
		text := strings.Join(people[:min(most, len(people))], ", ")
		if len(people) > most {
			text += fmt.Sprintf(" and %d more", len(people)-most)
		}
		all = append(all, fmt.Sprintf("%s [%s]", roster, text))
	}
	if len(all) == 0 {
		return "no roster"
	}
	return strings.Join(all, "; ")
}
