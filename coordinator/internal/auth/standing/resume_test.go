package standing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/auth/standing"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// After a restart everybody is asked for within one span, spread over all of it.
func TestRestartIsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		const people = 600 // of 8 at once that take a second each, 2400 could be asked for in a span
		var all []standing.Watched
		for i := range people {
			all = append(all, one(fmt.Sprint(i)))
		}
		a.Resume(all)
		a.during(t, func() {
			most, before := 0, 0
			for range 10 {
				time.Sleep(every / 10)
				a.locked(func() { most, before = max(most, len(a.asks)-before), len(a.asks) })
			}
			time.Sleep(20 * time.Second)
			a.locked(func() {
				once := slices.Compact(slices.Sorted(slices.Values(a.asks)))
				if len(once) != people || most > people/4 {
					t.Errorf("%d of %d were asked for in a span, %d in a tenth of it", len(once), people, most)
				}
			})
		})
	})
}

// What belongs to a session that ended is let go soon, not when its turn comes.
func TestEndedSessionIsLetGoSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.during(t, func() {
			a.Add(one("ana"))
			a.Add(one("ben"))
			a.locked(func() { a.ended["s-ana"] = true })
			time.Sleep(21 * time.Second)
			if s := a.Stats(); s.Watched != 1 || !slices.Equal(a.gone(), []string{"ana"}) {
				t.Errorf("%+v, released %v", s, a.gone())
			}
		})
	})
}

// A refusal that may be for an earlier question ends nothing, is no problem of the
// provider's, and is not heard again.
func TestDoubtfulRefusalSignsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.says(registry.Identity{}, fmt.Errorf("%w: spent", standing.ErrDoubtful), nil)
		a.Resume([]standing.Watched{one("ana")})
		a.during(t, func() {
			time.Sleep(3 * every)
			if s := a.Stats(); len(a.done()) > 0 || s.Watched != 0 || s.Refused != 0 || s.Problem != "" || strings.Join(a.gone(), " ") != "ana" {
				t.Errorf("%v, %+v, released %v", a.done(), s, a.gone())
			}
		})
	})
}
