package diff_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/acl/compile"
	"github.com/cordonmesh/cordon/acl/diff"
)

// Where one schedule takes the place of another, the hours say which is wider.
func TestSchedulesOfOtherNames(t *testing.T) {
	load := func(name, weekly string) *compile.Mesh {
		pol := parse(t, "{"+definitions+fmt.Sprintf(`"schedules": {%q: {"tz": "UTC", "weekly": [%s]}}, "grants": [
			{"src": ["tag:ct"], "dst": ["tag:pacs"], "ip": ["tcp:80"], "when": {"schedule": %[1]q}}]}`, name, weekly))
		m := mesh(pol, nil)
		m.Advance(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
		m.Load(clinic())
		return m
	}
	const shifts = `"Mon-Fri 08:00-10:00", "Mon-Fri 14:00-16:00", "Sat 08:00-09:00"`
	for weekly, want := range map[string][3]int{ // gained, lost, of which nobody can tell
		`"Mon-Fri 07:00-18:00", "Sat 08:00-09:00"`:                        {1, 0, 0},
		`"Mon-Fri 08:00-10:00", "Mon-Fri 12:00-16:00", "Sat 08:00-09:00"`: {1, 0, 0},
		`"Mon-Fri 14:00-16:00"`:                                           {0, 1, 0},
		`"Mon-Fri 08:30-09:00", "Mon-Fri 09:30-10:00", "Sat 08:00-09:00"`: {0, 1, 0},
		`"Mon-Fri 08:00-10:00", "Mon-Fri 13:00-15:00", "Sat 08:00-09:00"`: {0, 0, 1},
		`"Sun 08:00-10:00"`: {0, 0, 1},
	} {
		d := diff.Meshes(load("shifts", shifts), load("other", weekly))
		if got := [3]int{len(d.Gained), len(d.Lost), len(d.Changed)}; got != want {
			t.Errorf("%s: %v\n%s", weekly, got, told(d))
		}
	}
}
