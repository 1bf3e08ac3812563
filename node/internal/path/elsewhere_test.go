package path_test

import (
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
)

// apart gives two nodes that need a relay and are at home at one, and a relay that
// is left when that is lost.
func apart(t *testing.T) (w *world, home, spare *pathtest.Relay) {
	w, a, b, home := relayed(t, 1)
	w.Connect(a, b, pathtest.Link{Cut: true})
	spare = w.Relay("spare", 40*ms)
	for _, d := range []*pathtest.Node{w.a, w.b} {
		d.Set.SetRelays([]path.Relay{"r1", "spare"})
	}
	return w, home, spare
}

// Nobody may be there to tell peers of each other's new homes: the relay was the
// coordinator's.
func TestPeersWhoseRelayIsLostMeetAtAnother(t *testing.T) {
	for name, flows := range map[string]bool{"under traffic": true, "before it": false} {
		t.Run(name, func(t *testing.T) {
			w, home, spare := apart(t)
			if flows {
				w.a.Stream("b", 10*ms, time.Hour)
				w.b.Stream("a", 10*ms, time.Hour)
				w.expectWay(time.Second, home.Way())
			}
			home.SetDown(true)
			if !flows {
				w.b.SetHome(spare) // which a is not told
				w.Run(time.Minute)
				w.a.Stream("b", 10*ms, time.Hour)
			}
			if took := w.expectWay(10*time.Second, spare.Way()); took > 1500*ms {
				t.Errorf("at the other relay after %v, want at most 1.5 s", took)
			}
			w.Run(10 * time.Minute)
			w.b.SetHome(home)
			home.SetDown(false)
			w.expectWay(time.Minute, home.Way())
		})
	}
}

// A peer that does not answer at its home is looked for nowhere else: it is off,
// and nodes would connect to all relays for each that is.
func TestPeerIsNotSoughtElsewhereWhileItsHomeStands(t *testing.T) {
	w, home, spare := apart(t)
	w.b.SetHome(spare)
	w.b.SetHome(home) // it is connected to both
	home.Mute(w.b, true)
	w.a.Stream("b", 10*ms, time.Hour)
	w.Run(2 * time.Minute)
	if spare.Frames != 0 {
		t.Errorf("%d frames went through a relay that is not the peer's", spare.Frames)
	}
}
