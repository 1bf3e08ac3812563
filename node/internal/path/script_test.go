package path_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// TestScripts lets cuts, roams, sleep and reboots of NATs and relays happen at
// random to two nodes that talk, and holds them to what is always true.
func TestScripts(t *testing.T) {
	for seed := range seeds(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newScript(t, seed).play() })
	}
}

// script is one run.
type script struct {
	*world
	rng    *rand.Rand
	relays []*pathtest.Relay
	ends   []*actor
}

// actor is a node, the networks that it may be in, and the one where it is.
type actor struct {
	*pathtest.Node
	peer  *actor
	name  string
	nic   *pathtest.NIC
	nats  []*pathtest.NAT
	homes []pathtest.Site
	at    int
	asked []time.Time // requests of the last second
}

func newScript(t *testing.T, seed uint64) *script {
	s := &script{world: newWorld(t, seed), rng: rand.New(rand.NewPCG(seed, 7))}
	s.STUN("203.0.113.1")
	s.Default = pathtest.Link{Delay: time.Duration(1+s.rng.IntN(60)) * ms, Jitter: 4 * ms}
	for i := range 2 {
		s.relays = append(s.relays, s.Relay(fmt.Sprint("r", i), time.Duration(5+s.rng.IntN(40))*ms))
	}
	s.ends = []*actor{{Node: s.a, name: "a"}, {Node: s.b, name: "b"}}
	s.ends[0].peer, s.ends[1].peer = s.ends[1], s.ends[0]
	for i, e := range s.ends {
		s.place(e, i)
		e.SetHome(s.relays[s.rng.IntN(2)])
		e.Watch = func(a path.Action) { s.check(e, a) }
	}
	s.Introduce(s.a, s.b)
	return s
}

// place gives an actor three networks behind NATs of random kinds.
func (s *script) place(e *actor, i int) {
	sites := pathtest.Sites()[2:11]
	for k := range 3 {
		site := sites[s.rng.IntN(len(sites))]
		e.homes = append(e.homes, site)
		e.nats = append(e.nats, s.NAT(fmt.Sprint(e.name, k), fmt.Sprintf("192.0.2.%d", 10*i+k+1), site.NATs[0]))
	}
	e.nic = e.Private(e.name+"0", fmt.Sprintf("10.%d.0.2", i), e.nats[0])
}

// check holds each action to the invariants.
func (s *script) check(e *actor, a path.Action) {
	now := s.Now()
	if a.Do == path.Moved && a.To.IsValid() {
		if at, ok := e.Answers[a.To]; !ok || now.Sub(at) > 3*time.Second {
			s.t.Errorf("%v: %s moved to %v, whose last answer came at %v", now, e.name, a.To, at)
		}
	}
	if h, _ := probe.Peek(a.Datagram); a.Do != path.Send || h.Kind != probe.Request {
		return
	}
	e.asked = append(e.asked, now)
	for now.Sub(e.asked[0]) >= time.Second {
		e.asked = e.asked[1:]
	}
	if len(e.asked) > 40 {
		s.t.Fatalf("%v: %s sent %d requests in a second", now, e.name, len(e.asked))
	}
}

func (s *script) play() {
	for _, e := range s.ends {
		if every := []time.Duration{0, 20 * ms, 100 * ms, 3 * time.Second}[s.rng.IntN(4)]; every > 0 {
			e.Stream(e.peer.name, every, 24*time.Hour)
		}
	}
	s.a.Stream("b", time.Second, 24*time.Hour)
	for range 25 {
		s.happen(s.ends[s.rng.IntN(2)])
		turns, length := s.Turns, time.Duration(s.rng.IntN(15_000))*ms
		s.Run(length)
		if n := float64(s.Turns - turns); n > 2000+2000*length.Seconds() {
			s.t.Fatalf("%.0f turns in %v", n, length)
		}
	}
	s.heal()
	s.Run(95 * time.Second)
	moves := s.a.Moves + s.b.Moves
	s.Run(time.Minute)
	if n := s.a.Moves + s.b.Moves - moves; n > 0 {
		s.t.Errorf("%d moves in the minute after all has healed", n)
	}
	s.agree()
	if minutes := s.Now().Sub(begin).Minutes(); float64(s.a.Moves) > 30*minutes {
		s.t.Errorf("%d moves of a in %.1f minutes", s.a.Moves, minutes)
	}
}

// agree checks that both ends are where theory lets them be.
func (s *script) agree() {
	x, y := s.ends[0], s.ends[1]
	want := pathtest.CanBeDirect(x.homes[x.at], y.homes[y.at])
	if got := s.a.At("b").IsValid(); got != want {
		s.t.Errorf("a behind %s, b behind %s: a is direct: %v, theory: %v (%v)", x.homes[x.at].Name, y.homes[y.at].Name, got, want, s.a.Paths["b"])
	}
	if got := s.b.At("a").IsValid(); got != want && s.b.Paths["a"].IsValid() {
		s.t.Errorf("b is direct: %v, theory: %v (%v)", got, want, s.b.Paths["a"])
	}
	if s.Now().Sub(s.b.LastData) > 3*time.Second {
		s.t.Errorf("b last received data %v ago", s.Now().Sub(s.b.LastData))
	}
}

// happen does one thing to an actor, or to the world around it.
func (s *script) happen(e *actor) {
	switch s.rng.IntN(12) {
	case 0, 1:
		s.ConnectOneWay(e.nic, e.peer.nic, pathtest.Link{Cut: true})
	case 2:
		s.Connect(e.nic, e.peer.nic, pathtest.Link{Cut: true})
	case 3:
		s.Connect(e.nic, e.peer.nic, pathtest.Link{Delay: 30 * ms, Jitter: 40 * ms, Loss: s.rng.Float64() / 2, Duplicate: 0.1})
	case 4:
		s.Connect(e.nic, e.peer.nic, s.Default)
	case 5:
		e.nats[e.at].Reboot()
	case 6, 7:
		e.at = s.rng.IntN(len(e.nats))
		e.nic.Roam(fmt.Sprint(e.name, e.at), fmt.Sprintf("10.%d.%d.2", s.rng.IntN(200), s.rng.IntN(200)), e.nats[e.at])
		if s.rng.IntN(3) > 0 {
			e.NetworkChanged()
		}
	case 8:
		e.nic.SetWall(pathtest.Wall(s.rng.IntN(3)))
	case 9:
		s.relays[s.rng.IntN(2)].SetDown(s.rng.IntN(2) == 0)
	case 10:
		e.Freeze(time.Duration(s.rng.IntN(20_000)) * ms)
	case 11:
		e.NetworkChanged()
	}
}

// heal mends all; who is mended is not told.
func (s *script) heal() {
	s.Connect(s.ends[0].nic, s.ends[1].nic, s.Default)
	for _, r := range s.relays {
		r.SetDown(false)
	}
	for _, e := range s.ends {
		e.nic.SetWall(pathtest.NoWall)
		e.Freeze(0)
	}
}
