package control_test

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/node/internal/control"
	"github.com/cordonmesh/cordon/node/internal/control/controltest"
)

// asked is this node's map, which asks to be told of activity so often.
func (r *rig) asked(revision uint64, every time.Duration) wire.Map {
	m := r.at(wire.Position{Incarnation: 1, Revision: revision})
	m.Self.ActiveEvery = every
	return m
}

// What somebody does is told when the map asks for it, no more often than it says,
// and the last of it in the end; to a coordinator that comes back, anew.
func TestActivityIsToldAsTheMapAsks(t *testing.T) {
	virtual(t, func(t *testing.T) {
		const every = time.Minute
		r := newRig(t)
		var last atomic.Pointer[time.Time]
		var forgot atomic.Int64
		r.active = func() []control.Activity {
			return []control.Activity{{Ago: time.Since(*last.Load()), Pause: 7 * time.Second, Told: func() { forgot.Add(1) }}}
		}
		act := func() time.Time {
			now := time.Now()
			last.Store(&now)
			return now
		}
		r.begin()
		s := r.c.Next()
		wait := func(d time.Duration) {
			for ; d > 0; d -= 20 * time.Second {
				time.Sleep(min(d, 20*time.Second))
				r.send(s, controltest.Heartbeat())
			}
		}
		told := func(want ...time.Time) {
			t.Helper()
			got := r.c.Actives()
			if len(got) != len(want) {
				t.Fatalf("told %d times, want %d: %v", len(got), len(want), got)
			}
			for i := range want {
				if d := got[i].Sub(want[i]); d < -time.Millisecond || d > time.Millisecond {
					t.Errorf("told of %s, want %s", got[i], want[i])
				}
			}
		}
		act()
		r.send(s, r.full(r.asked(1, 0)))
		wait(10 * time.Minute)
		told() // nobody asks

		first := act()
		r.send(s, r.delta(r.asked(1, 0), r.asked(2, every)))
		time.Sleep(time.Second)
		told(first)
		var busy time.Time
		for range 50 { // somebody types
			busy = act()
			wait(time.Second)
		}
		told(first)
		wait(10 * time.Second)
		told(first, busy)
		wait(10 * time.Minute)
		told(first, busy) // and has gone

		r.c.Refuse(errors.New("busy"))
		again := act()
		wait(every)
		r.c.Refuse(nil)
		wait(every)
		told(first, busy, again)

		r.c.Cut(true)
		time.Sleep(time.Minute)
		r.c.Cut(false)
		s = r.c.Next()
		r.send(s, r.delta(r.asked(2, every), r.asked(3, every)))
		time.Sleep(time.Second)
		told(first, busy, again, again)
		if n := forgot.Load(); n != 4 {
			t.Errorf("pauses are forgotten %d times, and 4 were told", n)
		}
		if p := r.c.Pauses(); len(p) != 4 || p[0] != 7*time.Second {
			t.Errorf("pauses told: %v", p)
		}

		r.send(s, r.delta(r.asked(3, every), r.asked(4, 0)))
		act()
		wait(10 * time.Minute)
		told(first, busy, again, again)
	})
}

// A daemon that starts on the map that it has knows from it that it shall tell.
func TestActivityIsToldAfterARestart(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		r.active = func() []control.Activity { return []control.Activity{{Ago: 3 * time.Second, Told: func() {}}} }
		r.begin()
		m := r.asked(1, time.Minute)
		r.send(r.c.Next(), r.full(m))
		r.reboot()
		before := len(r.c.Actives())
		r.send(r.c.Next(), controltest.Current())
		time.Sleep(time.Second)
		if n := len(r.c.Actives()); n != before+1 {
			t.Errorf("told %d times after the restart", n-before)
		}
	})
}

// Of several people at a machine each is told of by themselves, when they did
// something since they were last told of.
func TestActivityIsToldOfEachSession(t *testing.T) {
	virtual(t, func(t *testing.T) {
		r := newRig(t)
		var mu sync.Mutex
		last := map[string]time.Time{}
		act := func(who ...string) {
			mu.Lock()
			defer mu.Unlock()
			for _, session := range who {
				last[session] = time.Now()
			}
		}
		r.active = func() (all []control.Activity) {
			mu.Lock()
			defer mu.Unlock()
			for _, session := range slices.Sorted(maps.Keys(last)) {
				all = append(all, control.Activity{Session: session, Ago: time.Since(last[session]), Told: func() {}})
			}
			return all
		}
		r.begin()
		s := r.c.Next()
		told := func(want ...string) {
			t.Helper()
			for range 3 {
				time.Sleep(22 * time.Second)
				r.send(s, controltest.Heartbeat())
			}
			if got := r.c.Busy(); !slices.Equal(got, want) {
				t.Errorf("told of %q, want %q", got, want)
			}
		}
		act("", "s1", "s2")
		r.send(s, r.full(r.asked(1, time.Minute)))
		told("", "s1", "s2")
		act("s2")
		told("", "s1", "s2", "s2")
		act("s1")
		r.c.Refuse(errors.New("busy"))
		told("", "s1", "s2", "s2")
		r.c.Refuse(nil)
		told("", "s1", "s2", "s2", "s1")
		told("", "s1", "s2", "s2", "s1")
	})
}
