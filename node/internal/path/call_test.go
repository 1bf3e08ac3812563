package path_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/pathtest"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

func number(n uint64) probe.ID { return probe.ID{}.Numbered(n) }

// requests are where the requests among actions go.
func requests(acts []path.Action) (to []path.Way) {
	for _, a := range acts {
		if h, _ := probe.Peek(a.Datagram); a.Do == path.Send && !a.Whole && h.Kind == probe.Request {
			to = append(to, a.To)
		}
	}
	return to
}

func TestForgedReplayedAndForeignCallsChangeNothing_A33(t *testing.T) {
	s, other := newStage(t), key.ProbeKey{1}
	s.established(t)
	relay := path.Through("r")
	call := s.codec.AppendCall(nil, number(100), s.me, s.friend, []netip.AddrPort{evil}, &s.secret)
	s.Receive(s.now, relay, call)
	if got := requests(s.Take()); len(got) != 1 || got[0] != path.Direct(home) {
		t.Fatalf("a call makes us ask %v at once, want the path, which the caller may have left", got)
	}
	s.Tick(s.now)
	asked := requests(s.Take())
	if len(asked) != 1 || asked[0] != path.Direct(evil) {
		t.Fatalf("an authentic call makes us ask %v, want %v", asked, evil)
	}
	if s.Info("friend").Endpoint != home {
		t.Fatal("a call moved the path")
	}
	at := []netip.AddrPort{behind}
	for what, b := range map[string][]byte{
		"the same call":           call,
		"an older call":           s.codec.AppendCall(nil, number(99), s.me, s.friend, at, &s.secret),
		"a call in one's name":    s.codec.AppendCall(nil, number(200), s.me, s.friend, at, &other),
		"a call of a stranger":    s.codec.AppendCall(nil, number(200), s.me, probe.Short{1}, at, &other),
		"a call for another":      s.codec.AppendCall(nil, number(200), probe.Short{1}, s.friend, at, &s.secret),
		"our own call, sent back": s.codec.AppendCall(nil, number(200), s.friend, s.me, at, &s.secret),
	} {
		for _, from := range []path.Way{relay, path.Direct(home), path.Direct(evil)} {
			before := s.Info("friend")
			s.Receive(s.now, from, b)
			if acts := s.Take(); len(acts) != 0 || s.Info("friend") != before {
				t.Errorf("%s by %v: %+v", what, from, acts)
			}
		}
	}
	// It outlives sleep: the number is remembered when the machine is gone.
	s.count(10*time.Minute, func() {})
	s.silent(t, "the same call after sleep", home, call)
}

func TestFloodOfForgedCallsCostsABoundedNumberOfChecks_A33(t *testing.T) {
	s, other := newStage(t), key.ProbeKey{1}
	s.established(t)
	forged := s.codec.AppendCall(nil, number(1<<62), s.me, s.friend, addresses(8), &other)
	if n := testing.AllocsPerRun(10_000, func() { s.Receive(s.now, path.Direct(evil), forged) }); n != 0 && !racing {
		t.Errorf("%v allocations for a forged call", n)
	}
	if len(s.Take()) != 0 {
		t.Fatal("forgeries had an effect")
	}
	s.Receive(s.now, path.Direct(home), s.codec.AppendCall(nil, number(1), s.me, s.friend, addresses(1), &s.secret))
	s.Tick(s.now)
	if len(requests(s.Take())) == 0 {
		t.Error("the peer's own call is starved by a flood in its name")
	}
}

// TestCallsMakeNoScanner_A33 has a peer of the map turn bad: it calls as often as
// it can, and names new addresses each time.
func TestCallsMakeNoScanner_A33(t *testing.T) {
	s := newStage(t)
	s.established(t)
	list, calls, targets := addresses(65536), uint64(0), map[path.Way]bool{}
	asked := 0
	for end := s.now.Add(time.Minute); s.now.Before(end); s.now = s.now.Add(10 * ms) {
		calls++
		s.Receive(s.now, path.Through("r"), s.codec.AppendCall(nil, number(calls), s.me, s.friend, list[calls*8:calls*8+8], &s.secret))
		s.Tick(s.now)
		for _, to := range requests(s.Take()) {
			asked++
			targets[to] = true
		}
	}
	if asked > 20+60*20 {
		t.Errorf("%d requests in a minute for one peer, want at most 20 a second", asked)
	}
	if len(targets) > (6+30)*8+2 {
		t.Errorf("%d addresses in a minute, want at most those of a call each two seconds", len(targets))
	}
	if len(targets) < 100 {
		t.Errorf("%d addresses: the test tests nothing", len(targets))
	}
}

// TestManyPeersCannotPointUsAtOneHost_A33 has 200 peers of the map name ports of
// one host: what it gets is limited whoever names it.
func TestManyPeersCannotPointUsAtOneHost_A33(t *testing.T) {
	for _, hosts := range []func(i int) netip.Addr{
		func(int) netip.Addr { return netip.MustParseAddr("203.0.113.7") },
		func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)) },
	} {
		s := newStage(t)
		var peers []path.Peer
		for i := range 200 {
			n, p := key.NewNode(), key.NewPath()
			var at []netip.AddrPort
			for j := range 16 {
				at = append(at, netip.AddrPortFrom(hosts(i), uint16(1+i*16+j)))
			}
			peers = append(peers, path.Peer{ID: fmt.Sprint(i), Node: n.Public(), Path: p.Public(), Candidates: at})
		}
		if err := s.SetPeers(s.now, peers); err != nil {
			t.Fatal(err)
		}
		asked := s.count(10*time.Second, func() {
			for _, p := range peers {
				s.Want(s.now, p.ID)
			}
		})
		if limit := 100 + 10*50; asked > limit || asked < limit/2 {
			t.Errorf("%d requests to one host in 10 s, want at most %d, and more than half of it", asked, limit)
		}
	}
}

func TestPeerThatCallsIsAnsweredByACallOnce(t *testing.T) {
	w, a, b, _ := relayed(t, 1)
	a.SetWall(pathtest.UDPBlocked)
	w.a.Stream("b", 100*ms, time.Hour)
	w.Run(3 * time.Second)
	// a's second tells of the addresses that it looked for when it began.
	if w.a.Called != 2 || w.b.Called != 1 {
		t.Errorf("a called %d times, b %d; want twice and once", w.a.Called, w.b.Called)
	}
	w.Run(5 * time.Minute)
	if w.a.Called > 15 || w.b.Called > 15 || w.a.Called < 9 {
		t.Errorf("a called %d times, b %d in five minutes; want one in half a minute", w.a.Called, w.b.Called)
	}
	_ = b
}

func TestManyCallsAtOnceLookForOurAddressesOnce(t *testing.T) {
	s := newStage(t)
	peers := crowd(t, 50)
	if err := s.SetPeers(s.now, peers); err != nil {
		t.Fatal(err)
	}
	gathers := func() (n int) {
		for _, p := range peers {
			s.Want(s.now, p.ID)
		}
		for _, a := range s.Take() {
			if a.Do == path.Gather {
				n++
			}
		}
		return n
	}
	if n := gathers(); n != 1 {
		t.Errorf("%d looks for our addresses", n)
	}
	s.SetOwn(s.now, addresses(2))
	calls := 0
	for _, a := range s.Take() {
		if h, _ := probe.Peek(a.Datagram); h.Kind == probe.Call {
			calls++
		}
	}
	if calls != 50 {
		t.Errorf("%d peers of 50 are told what was found", calls)
	}
	if s.SetOwn(s.now, addresses(2)); len(s.Take()) != 0 {
		t.Error("the same addresses again are news")
	}
}

// TestCallCarriesAddressesThatTheMapDoesNotKnow: the coordinator is down, and
// both ends sit behind NATs whose mappings it never heard of.
func TestCallCarriesAddressesThatTheMapDoesNotKnow(t *testing.T) {
	w := newWorld(t, 1)
	w.Hints = -1
	w.STUN("203.0.113.1")
	for i, d := range []*pathtest.Node{w.a, w.b} {
		pathtest.Site{NATs: []pathtest.Behaviour{pathtest.HomeRouter()}}.Settle(w.Internet, d, i+1)
	}
	r := w.Relay("r", 10*ms)
	w.a.SetHome(r)
	w.b.SetHome(r)
	w.a.Meet(w.b.Peer())
	w.b.Meet(w.a.Peer())
	w.Run(time.Second)
	w.a.Stream("b", 100*ms, time.Hour)
	if !w.RunUntil(10*time.Second, func() bool { return w.a.At("b").IsValid() && w.b.At("a").IsValid() }) {
		t.Errorf("a sends by %v, b by %v", w.a.Paths["b"], w.b.Paths["a"])
	}
	if w.a.Gathered == 0 || w.b.Gathered == 0 {
		t.Error("nobody looked for its own addresses")
	}
}
