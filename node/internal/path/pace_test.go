package path_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

func (w *world) quietly() int {
	w.Run(quietSoon)
	asked := w.a.Asked
	w.a.Want("b")
	w.Run(3 * time.Minute)
	return w.a.Asked - asked
}

const quietSoon = 15 * time.Second

func TestNATThatRebootsDoesNotMakeAQuietPathBusy(t *testing.T) {
	w := newWorld(t, 1)
	nat := w.NAT("home", "192.0.2.1", pathtest.FullCone())
	w.a.Private("home", "10.0.0.2", nat)
	w.a.Meet(w.b.Peer(w.b.Public("198.51.100.2").Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Stream("b", 100*ms, time.Minute)
	for range 5 {
		w.Run(12 * time.Second)
		nat.Reboot()
	}
	if n := w.quietly(); n > 28 {
		t.Errorf("%d requests in three quiet minutes", n)
	}
}

func TestNATThatForgetsAtOnceIsNotChased(t *testing.T) {
	w := newWorld(t, 1)
	kind := pathtest.HomeRouter()
	kind.Life = 2 * time.Second
	w.a.Private("home", "10.0.0.2", w.NAT("home", "192.0.2.1", kind))
	w.a.Meet(w.b.Peer(w.b.Public("198.51.100.2").Addr()))
	w.b.Meet(w.a.Peer())
	w.a.Want("b")
	w.Run(time.Minute)
	if n := w.quietly(); n > 80 {
		t.Errorf("%d requests in three quiet minutes", n)
	}
}

func TestWholeSiteBehindOneAddressIsServed(t *testing.T) {
	s, mine := newStage(t), fixedPath(t, "3")
	secrets, peers := map[string]key.ProbeKey{}, []path.Peer{}
	for i := range 300 {
		id, theirs := key.NewNode(), key.NewPath()
		secret, err := theirs.Agree(mine.Public())
		if err != nil {
			t.Fatal(err)
		}
		at := home.Addr()
		p := path.Peer{ID: fmt.Sprint(i), Node: id.Public(), Path: theirs.Public()}
		p.Candidates = append(p.Candidates, addrPort(at, 1000+i))
		secrets[p.ID], peers = secret, append(peers, p)
	}
	if err := s.SetPeers(s.now, peers); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for second := range 20 {
		for _, p := range peers {
			s.Want(s.now, p.ID)
		}
		if second == 10 {
			asked = 0
		}
		for range 100 {
			s.now = s.now.Add(10 * ms)
			s.Tick(s.now)
			for _, a := range s.Take() {
				h, _ := probe.Peek(a.Datagram)
				if a.Do != path.Send || h.Kind != probe.Request {
					continue
				}
				secret := secrets[a.Peer]
				s.Receive(s.now, a.To, s.codec.AppendAnswer(nil, h.ID, behind, &secret))
				if !a.Whole {
					asked++
				}
			}
		}
	}
	if want := 300 * 10 * 3; asked < want {
		t.Errorf("%d requests to 300 silent peers in 10 s, want at least %d", asked, want)
	}
}

func TestRelayIsAskedFirstWhenRequestsAreShort(t *testing.T) {
	w := newWorld(t, 1)
	w.Connect(w.a.Public("198.51.100.1"), w.b.Public("198.51.100.2"), pathtest.Link{Cut: true})
	r := w.Relay("r", 25*ms)
	w.a.SetHome(r)
	w.b.SetHome(r)
	w.a.Meet(w.b.Peer(addresses(16)...))
	w.b.Meet(w.a.Peer())
	w.a.Set.SetHome(w.Now(), "b", "")
	w.a.Stream("b", 20*ms, time.Hour)
	w.Run(600 * ms) // the burst is spent on addresses where nobody is
	start, first := w.Now(), time.Time{}
	w.a.Watch = func(act path.Action) {
		if act.Do == path.Send && act.To == r.Way() && first.IsZero() {
			first = w.Now()
		}
	}
	w.a.Set.SetHome(start, "b", "r")
	w.expectWay(time.Second, r.Way())
	if took := first.Sub(start); took > 60*ms {
		t.Errorf("asked after %v, want the next request of 20 a second", took)
	}
}

func TestDirectPathIsTriedAtOnceWhenARelayedOneIsUsedAgain(t *testing.T) {
	w, a, b, r := relayed(t, 1)
	w.Connect(a, b, pathtest.Link{Cut: true})
	w.a.Stream("b", 100*ms, 2*time.Minute)
	w.Run(3 * time.Minute)
	w.expectWay(ms, r.Way())
	w.Connect(a, b, pathtest.Link{Delay: 10 * ms})
	w.a.Stream("b", 100*ms, 2*time.Minute)
	w.expect(time.Second, b.Addr())
}
