package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cordonmesh/cordon/node/internal/engine"
)

// endingAt has a map in which one peer's time, or this node's own, is over later.
func endingAt(peer, own time.Duration) func(*testing.T, *engine.Engine, *parts) {
	return func(t *testing.T, e *engine.Engine, p *parts) {
		knowing(t, e, p)
		m := mapAt(1)
		if peer != 0 {
			one := m.Peers["n-a"]
			one.Until = time.Now().Add(peer)
			m.Peers["n-a"] = one
		}
		if own != 0 {
			m.Self.Until = time.Now().Add(own)
		}
		e.SetMap(m)
	}
}

// A peer whose time is over is a peer no more, at that moment and with nobody there
// who says so; the others stay. So is everybody, once this node's own time is over.
func TestTimeOfAMachineIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*testing.T, *engine.Engine, *parts)
		left    int
	}{"a peer's": {endingAt(time.Minute, 0), 1}, "its own": {endingAt(time.Hour, time.Minute), 0}} {
		drive(t, c.prepare, func(t *testing.T, e *engine.Engine, p *parts) {
			synctest.Wait()
			if n := len(p.config.Peers); n != 2 {
				t.Fatalf("%s: %d peers before", name, n)
			}
			p.take()
			time.Sleep(time.Minute - time.Millisecond)
			asked(t, p)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if n, paths := len(p.config.Peers), len(p.paths); n != c.left || paths != c.left || len(p.take()) == 0 {
				t.Errorf("%s time is over: %d peers, %d paths, want %d", name, n, paths, c.left)
			}
			p.take()
			time.Sleep(2 * time.Minute)
			asked(t, p)
		})
	}
}

// Who starts after the end begins without.
func TestTimeThatWasOverAtTheStart(t *testing.T) {
	drive(t, endingAt(-time.Second, 0), func(t *testing.T, _ *engine.Engine, p *parts) {
		synctest.Wait()
		if n := len(p.config.Peers); n != 1 {
			t.Errorf("%d peers, want 1", n)
		}
	})
}

// A laptop that slept past the end of a peer's time finds that out when it wakes, though
// its timers stood still meanwhile.
func TestTimeThatWasOverWhileTheMachineSlept(t *testing.T) {
	drive(t, endingAt(time.Hour, 0), func(t *testing.T, _ *engine.Engine, p *parts) {
		synctest.Wait()
		p.slept.Store(int64(2 * time.Hour))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n, paths := len(p.config.Peers), len(p.paths); n != 1 || paths != 1 {
			t.Errorf("%d peers and %d paths, want 1", n, paths)
		}
	})
}
