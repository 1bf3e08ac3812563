package relays_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/relays"
	"github.com/cordonmesh/cordon/node/relay"
	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("nobody answers")

// site is a relay in memory, at some distance.
type site struct {
	server *server.Server
	rtt    time.Duration
	away   atomic.Bool
	opened atomic.Int32
}

func (s *site) Measure(context.Context) (relay.Measured, error) {
	if s.away.Load() {
		return relay.Measured{}, errAway
	}
	return relay.Measured{RTT: s.rtt}, nil
}

func (s *site) Open(ctx context.Context) (*relay.Stream, error) {
	if s.away.Load() {
		return nil, errAway
	}
	s.opened.Add(1)
	return relaytest.Pipe(s.server)(ctx)
}

// leave makes the site fail, and those notice who are connected.
func (s *site) leave() {
	s.away.Store(true)
	relaytest.Stop(s.server)
}

// world is relays, and nodes that know of them.
type world struct {
	t     *testing.T
	mesh  *relaytest.Mesh
	sites map[string]*site
}

func newWorld(t *testing.T, rtts map[string]time.Duration) *world {
	w := &world{t: t, mesh: relaytest.NewMesh(), sites: map[string]*site{}}
	for name, rtt := range rtts {
		w.sites[name] = &site{server: relaytest.New(t, server.Config{}, w.mesh), rtt: rtt}
	}
	return w
}

func (w *world) offers() (all []relays.Offer) {
	for name := range w.sites {
		all = append(all, relays.Offer{Name: name, URL: "https://" + name})
	}
	return all
}

// node is one node's relays, and what they told.
type node struct {
	*relays.Set
	key  key.NodePrivate
	mu   sync.Mutex
	home []string
	link []string
	away int
	got  []string
	stop func()
}

func (w *world) node() *node {
	n := &node{key: key.NewNode()}
	n.Set = relays.New(relays.Config{Node: &n.key,
		Reach: func(o relays.Offer) (relays.Reach, error) { return w.sites[o.Name], nil },
		Receive: func(via string, _ key.NodePublic, datagram []byte) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.got = append(n.got, via+": "+string(datagram))
		},
		OnHome: func(name string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.home = append(n.home, name)
		},
		OnLink: func(name string, up bool) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.link = append(n.link, fmt.Sprint(name, " ", up))
		},
		OnAway: func(string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.away++
		}})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(n.stop)
	return n
}

func (n *node) offer(w *world) {
	n.Offer(w.offers(), w.mesh.Ticket(n.key.Public(), 24*time.Hour))
}

func (n *node) expectHomes(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.home, want) {
		t.Errorf("homes told: %q, want %q", n.home, want)
	}
}

func (n *node) expectLinks(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.link, want) {
		t.Errorf("links told: %q, want %q", n.link, want)
	}
}

func (n *node) aways() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.away
}

func (n *node) expectGot(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.got, want) {
		t.Errorf("got %q, want %q", n.got, want)
	}
}

func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestNearestRelayIsHomeAndCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"near": 5 * time.Millisecond, "far": 80 * time.Millisecond})
		a, b := w.node(), w.node()
		a.offer(w)
		b.offer(w)
		pass(2 * time.Second)
		a.expectHomes(t, "near")
		if !a.Send("near", b.key.Public(), []byte("hello")) {
			t.Error("not sent")
		}
		pass(time.Second)
		b.expectGot(t, "near: hello")
		w.sites["far"].away.Store(true)
		for _, l := range a.Look(t.Context()) {
			if near := l.Name == "near"; near != (l.Err == nil) || near && l.Measured.RTT != 5*time.Millisecond {
				t.Errorf("looked at %+v", l)
			}
		}
		w.sites["far"].away.Store(false)
		if n := w.sites["far"].opened.Load(); n != 0 {
			t.Errorf("%d connections to a relay where nobody is", n)
		}
		for _, s := range a.Status() {
			near := s.Name == "near"
			if s.Home != near || s.Connected != near || s.RTT != w.sites[s.Name].rtt || s.Why != "" {
				t.Errorf("status %+v", s)
			}
		}
		a.stop()
		b.stop()
	})
}

func TestWithoutATicketNobodyIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"r": time.Millisecond})
		a := w.node()
		a.Offer(w.offers(), nil)
		pass(time.Minute)
		a.expectHomes(t)
		if w.sites["r"].opened.Load() != 0 {
			t.Error("connected")
		}
		a.offer(w)
		pass(time.Second)
		a.expectHomes(t, "r")
		a.stop()
	})
}

// TestPeersHomeIsConnectedWhileItIsUsed sends to a peer whose home is elsewhere.
func TestPeersHomeIsConnectedWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"a": 5 * time.Millisecond, "b": 80 * time.Millisecond})
		a, b := w.node(), w.node()
		a.offer(w)
		b.Offer([]relays.Offer{{Name: "b", URL: "https://b"}}, w.mesh.Ticket(b.key.Public(), time.Hour))
		pass(2 * time.Second)
		if a.Send("b", b.key.Public(), []byte("first")) {
			t.Error("sent without a connection")
		}
		for i := range 10 {
			pass(30 * time.Second)
			if !a.Send("b", b.key.Public(), []byte{'0' + byte(i)}) {
				t.Fatalf("not sent after %d", i)
			}
		}
		pass(time.Second)
		b.expectGot(t, "b: 0", "b: 1", "b: 2", "b: 3", "b: 4", "b: 5", "b: 6", "b: 7", "b: 8", "b: 9")
		pass(3 * time.Minute)
		for _, s := range a.Status() {
			if s.Connected != (s.Name == "a") {
				t.Errorf("after minutes of silence: %+v", s)
			}
		}
		if a.Send("nowhere", b.key.Public(), nil) {
			t.Error("sent to a relay that nobody offered")
		}
		a.stop()
		b.stop()
	})
}

func TestHomeThatFailsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"near": 5 * time.Millisecond, "far": 80 * time.Millisecond})
		a := w.node()
		a.offer(w)
		pass(2 * time.Second)
		w.sites["near"].leave()
		pass(4 * time.Second)
		a.expectHomes(t, "near", "far")
		if a.aways() == 0 {
			t.Error("nobody is told that the relay is away")
		}
		pass(30 * time.Second)
		a.expectLinks(t, "near true", "near false", "far true")
		for _, s := range a.Status() {
			if s.Name == "near" && (s.Why == "" || s.Home) {
				t.Errorf("status %+v", s)
			}
		}
		a.stop()
	})
}

// Where no relay answers it may be our own network that is down: moving helps nobody.
func TestHomeIsKeptWhileNoRelayAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"near": 5 * time.Millisecond, "far": 80 * time.Millisecond})
		a := w.node()
		a.offer(w)
		pass(2 * time.Second)
		w.sites["far"].away.Store(true)
		w.sites["near"].away.Store(true)
		a.NetworkChanged()
		pass(4 * time.Second)
		w.sites["far"].away.Store(false)
		w.sites["near"].away.Store(false)
		pass(time.Minute)
		a.expectHomes(t, "near")
		a.stop()
	})
}

func TestWithdrawnRelayIsNoHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"r": time.Millisecond})
		a := w.node()
		a.offer(w)
		pass(time.Second)
		a.Offer(nil, w.mesh.Ticket(a.key.Public(), time.Hour))
		pass(time.Second)
		a.expectHomes(t, "r", "")
		a.expectLinks(t, "r true", "r false")
		if a.Home() != "" || len(a.Status()) != 0 {
			t.Errorf("home %q, status %v", a.Home(), a.Status())
		}
		a.stop()
	})
}

// A relay that was withdrawn and comes back is measured at once: it may be another.
func TestRelayThatComesBackIsMeasuredAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"ward": 10 * time.Millisecond, "far": 40 * time.Millisecond})
		n := w.node()
		n.offer(w)
		pass(10 * time.Second)
		far := w.sites["far"]
		delete(w.sites, "far")
		n.offer(w)
		pass(time.Second)
		far.rtt = 90 * time.Millisecond
		w.sites["far"] = far
		n.offer(w)
		pass(time.Second)
		if all := n.Status(); len(all) != 2 || all[0].Name != "far" || all[0].RTT != far.rtt {
			t.Errorf("%+v, want far at %v", all, far.rtt)
		}
		n.stop()
	})
}

func TestOtherNetworkConnectsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, map[string]time.Duration{"r": time.Millisecond})
		a := w.node()
		a.offer(w)
		pass(time.Minute)
		if n := w.sites["r"].opened.Load(); n != 1 {
			t.Fatalf("opened %d times in a quiet network", n)
		}
		a.NetworkChanged()
		pass(time.Second)
		if n := w.sites["r"].opened.Load(); n != 2 {
			t.Errorf("opened %d times, want once more", n)
		}
		a.expectLinks(t, "r true", "r false", "r true")
		a.expectHomes(t, "r")
		a.stop()
	})
}
