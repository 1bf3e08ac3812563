package path_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// TestAddressFamilies has each node speak IPv4, IPv6, both, or both of which IPv6
// leads nowhere: who shares a family that works is direct, and a broken one costs
// nothing.
func TestAddressFamilies(t *testing.T) {
	type families struct {
		name        string
		four, six   bool
		sixIsBroken bool
	}
	all := []families{{"IPv4", true, false, false}, {"IPv6", false, true, false}, {"both", true, true, false}, {"broken IPv6", true, true, true}}
	for _, fa := range all {
		for _, fb := range all {
			w := newWorld(t, 1)
			w.STUN("203.0.113.1")
			w.STUN("2001:db8:ffff::1")
			r := w.Relay("r", 40*ms)
			for i, f := range []families{fa, fb} {
				d := []*pathtest.Node{w.a, w.b}[i]
				if f.six {
					c := d.Public(fmt.Sprintf("2001:db8:%d::2", i+1))
					if f.sixIsBroken {
						c.SetWall(pathtest.UDPBlocked)
					} else {
						c.SetWall(pathtest.Guarded)
					}
				}
				if f.four {
					pathtest.Site{NATs: []pathtest.Behaviour{pathtest.HomeRouter()}}.Settle(w.Internet, d, i+1)
				}
				d.SetHome(r)
			}
			w.Introduce(w.a, w.b)
			w.a.Stream("b", 20*ms, time.Hour)
			direct := func() bool { return w.a.At("b").IsValid() && w.b.At("a").IsValid() }
			six := fa.six && fb.six && !fa.sixIsBroken && !fb.sixIsBroken
			want := fa.four && fb.four || six
			if got := w.RunUntil(3*time.Second, direct); got != want {
				t.Errorf("%s and %s: direct after 3 s: %v, want %v", fa.name, fb.name, got, want)
			}
			if w.Run(time.Second); w.b.Received == 0 {
				t.Errorf("%s and %s: not connected", fa.name, fb.name)
			}
		}
	}
}

// TestWantAndHeardAllocateNothing: they are told of packets.
func TestWantAndHeardAllocateNothing(t *testing.T) {
	s := newStage(t)
	s.established(t)
	from := path.Direct(home)
	n := testing.AllocsPerRun(100, func() {
		s.now = s.now.Add(ms)
		s.Want(s.now, "friend")
		s.Heard(s.now, "friend", from)
		s.Tick(s.now)
	})
	if n != 0 && !racing {
		t.Errorf("%v allocations", n)
	}
}
