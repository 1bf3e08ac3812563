package path_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

var (
	begin  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	home   = netip.MustParseAddrPort("198.51.100.2:41641")
	evil   = netip.MustParseAddrPort("203.0.113.66:666")
	behind = netip.MustParseAddrPort("192.0.2.9:4000")
)

// stage is one Set under test, and the keys of its peer, played by the test.
type stage struct {
	*path.Set
	now        time.Time
	codec      *probe.Codec
	me, friend probe.Short
	secret     key.ProbeKey
	peer       path.Peer
}

// The keys are always the same, so that datagrams in the fuzz corpus are for
// this node and from that peer.
func fixedNode(t testing.TB, digit string) key.NodePrivate {
	k, err := key.ParseNodePrivate("private-node:" + strings.Repeat(digit, 64))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func fixedPath(t testing.TB, digit string) key.PathPrivate {
	k, err := key.ParsePathPrivate("private-path:" + strings.Repeat(digit, 64))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newStage(t testing.TB) *stage {
	t.Helper()
	mine, theirs := fixedNode(t, "1"), fixedNode(t, "2")
	minePath, theirPath := fixedPath(t, "3"), fixedPath(t, "4")
	set, err := path.NewSet(path.Config{Self: mine.Public(), Key: &minePath})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := theirPath.Agree(minePath.Public())
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{
		Set: set, now: begin, codec: probe.NewCodec(), secret: secret,
		me: probe.ShortOf(mine.Public()), friend: probe.ShortOf(theirs.Public()),
		peer: path.Peer{ID: "friend", Node: theirs.Public(), Path: theirPath.Public(), Candidates: []netip.AddrPort{home}},
	}
	if err := set.SetPeers(s.now, []path.Peer{s.peer}); err != nil {
		t.Fatal(err)
	}
	return s
}

// ask has the set send its first request to the peer.
func (s *stage) ask(t testing.TB) probe.ID {
	t.Helper()
	s.Want(s.now, "friend")
	s.Tick(s.now)
	for _, a := range s.Take() {
		if h, _ := probe.Peek(a.Datagram); a.Do == path.Send && h.Kind == probe.Request {
			return h.ID
		}
	}
	t.Fatal("no request was sent")
	return probe.ID{}
}

// established gives the set its path to home.
func (s *stage) established(t testing.TB) {
	t.Helper()
	id := s.ask(t)
	s.Receive(s.now, path.Direct(home), s.codec.AppendAnswer(nil, id, behind, &s.secret))
	s.Take()
	if s.Info("friend").Endpoint != home {
		t.Fatal("the right answer makes no path")
	}
}

// silent checks that a datagram led to nothing at all.
func (s *stage) silent(t *testing.T, what string, from netip.AddrPort, b []byte) {
	t.Helper()
	before, next := s.Info("friend"), s.Next()
	s.Receive(s.now, path.Direct(from), b)
	if acts := s.Take(); len(acts) != 0 {
		t.Errorf("%s: %+v", what, acts)
	}
	if after := s.Info("friend"); after != before || !s.Next().Equal(next) {
		t.Errorf("%s changed %+v to %+v", what, before, after)
	}
}

func TestForgedProbesChangeNothing(t *testing.T) {
	s, other := newStage(t), key.ProbeKey{1}
	id := s.ask(t)
	right := s.codec.AppendAnswer(nil, id, behind, &s.secret)
	request := s.codec.AppendRequest(nil, probe.ID{7}, s.me, s.friend, &s.secret)

	s.silent(t, "answer under another key", home, s.codec.AppendAnswer(nil, id, behind, &other))
	s.silent(t, "answer to no request", home, s.codec.AppendAnswer(nil, probe.ID{9}, behind, &s.secret))
	s.silent(t, "right answer from another address", evil, right)
	s.silent(t, "request under another key", evil, s.codec.AppendRequest(nil, probe.ID{8}, s.me, s.friend, &other))
	s.silent(t, "request of a stranger", evil, s.codec.AppendRequest(nil, probe.ID{8}, s.me, probe.Short{1}, &other))
	s.silent(t, "request for another node", evil, s.codec.AppendRequest(nil, probe.ID{8}, probe.Short{1}, s.friend, &s.secret))
	s.silent(t, "our own request, reflected", home, s.codec.AppendRequest(nil, id, s.friend, s.me, &s.secret))
	s.silent(t, "cut short", home, request[:len(request)-4])
	s.silent(t, "garbage", evil, []byte("garbage"))

	s.Receive(s.now, path.Direct(home), right)
	if s.Info("friend").Endpoint != home {
		t.Fatal("forgeries spoilt the right answer")
	}
	s.Take()
	s.silent(t, "replayed answer", home, right)
	s.silent(t, "replayed answer from elsewhere", evil, right)
}

func TestReplayedRequestIsNotAnsweredAndMovesNothing(t *testing.T) {
	s := newStage(t)
	s.established(t)
	request := s.codec.AppendRequest(nil, probe.ID{7}, s.me, s.friend, &s.secret)
	s.Receive(s.now, path.Direct(behind), request)
	acts := s.Take()
	if len(acts) == 0 || acts[0].Do != path.Send || acts[0].To != path.Direct(behind) {
		t.Fatalf("authentic request: %+v", acts)
	}
	s.silent(t, "replay", behind, request)
	s.silent(t, "replay from the attacker", evil, request)

	// Recorded and held back, it reaches us first by the attacker: that makes us
	// ask the attacker's address, and nothing more.
	held := s.codec.AppendRequest(nil, probe.ID{8}, s.me, s.friend, &s.secret)
	s.Receive(s.now, path.Direct(evil), held)
	for range 100 {
		s.now = s.now.Add(100 * time.Millisecond)
		s.Tick(s.now)
		for _, a := range s.Take() {
			h, _ := probe.Peek(a.Datagram)
			if a.Do == path.Send && a.To == path.Direct(home) && h.Kind == probe.Request {
				s.Receive(s.now, path.Direct(home), s.codec.AppendAnswer(nil, h.ID, behind, &s.secret))
			}
		}
	}
	if got := s.Info("friend").Endpoint; got != home {
		t.Errorf("path leads to %v", got)
	}
}

func TestFloodOfForgeriesDoesNotStarveThePath(t *testing.T) {
	s, other := newStage(t), key.ProbeKey{1}
	s.established(t)
	forged := s.codec.AppendRequest(nil, probe.ID{8}, s.me, s.friend, &other)
	for range 20_000 {
		s.Receive(s.now, path.Direct(evil), forged)
	}
	if len(s.Take()) != 0 {
		t.Fatal("forgeries had an effect")
	}
	s.Receive(s.now, path.Direct(home), s.codec.AppendRequest(nil, probe.ID{7}, s.me, s.friend, &s.secret))
	if acts := s.Take(); len(acts) == 0 || acts[0].To != path.Direct(home) {
		t.Error("the peer's own request is starved by a flood in its name")
	}
}

func TestFloodCostsABoundedNumberOfChecks(t *testing.T) {
	s, other := newStage(t), key.ProbeKey{1}
	forged := s.codec.AppendRequest(nil, probe.ID{8}, s.me, s.friend, &other)
	authentic := func(id byte) (answered bool) {
		s.Receive(s.now, path.Direct(behind), s.codec.AppendRequest(nil, probe.ID{id}, s.me, s.friend, &s.secret))
		return len(s.Take()) > 0
	}
	for range 10_000 {
		s.Receive(s.now, path.Direct(evil), forged)
	}
	if authentic(1) {
		t.Error("10,000 forgeries at once were all checked: the budget for strangers is not kept")
	}
	s.now = s.now.Add(time.Second)
	if !authentic(2) {
		t.Error("the budget does not recover")
	}
}

func TestAnswersAreLimited(t *testing.T) {
	s := newStage(t)
	s.established(t)
	answers := 0
	for i := range 1000 {
		s.Receive(s.now, path.Direct(home), s.codec.AppendRequest(nil, probe.ID{7, byte(i), byte(i >> 8)}, s.me, s.friend, &s.secret))
		for _, a := range s.Take() {
			if h, _ := probe.Peek(a.Datagram); h.Kind == probe.Answer {
				answers++
			}
		}
		s.now = s.now.Add(time.Millisecond)
	}
	if answers < 50 || answers > 101 {
		t.Errorf("%d answers to 1,000 requests in a second, want 100", answers)
	}
}

func TestLearntAddressesAreBounded(t *testing.T) {
	s := newStage(t)
	s.established(t)
	for i := range 1000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(1000+i))
		s.Receive(s.now, path.Direct(from), s.codec.AppendRequest(nil, probe.ID{7, byte(i), byte(i >> 8)}, s.me, s.friend, &s.secret))
		s.now = s.now.Add(10 * time.Millisecond)
	}
	if n := s.Info("friend").Candidates; n > path.MaxCandidates+4 {
		t.Errorf("%d candidates", n)
	}
}

// count lets time pass and counts the requests sent.
func (s *stage) count(length time.Duration, each func()) (asked int) {
	for end := s.now.Add(length); s.now.Before(end); s.now = s.now.Add(10 * time.Millisecond) {
		each()
		s.Tick(s.now)
		for _, a := range s.Take() {
			if h, _ := probe.Peek(a.Datagram); a.Do == path.Send && h.Kind == probe.Request {
				asked++
			}
		}
	}
	return asked
}

func addrPort(a netip.Addr, port int) netip.AddrPort { return netip.AddrPortFrom(a, uint16(port)) }

func addresses(n int) (out []netip.AddrPort) {
	for i := range n {
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 22))
	}
	return out
}

func TestMapThatNamesManyAddressesMakesNoScanner(t *testing.T) {
	s := newStage(t)
	rounds, list := 0, addresses(65536)
	asked := s.count(10*time.Second, func() {
		// A malicious map changes the addresses ten times a second.
		rounds++
		s.SetCandidates(s.now, "friend", list[rounds*50:rounds*50+50])
		s.Want(s.now, "friend")
	})
	if limit := 20 + 10*20; asked > limit {
		t.Errorf("%d requests in 10 s to one peer, want at most %d", asked, limit)
	}
	if asked < 20 {
		t.Errorf("%d requests: the test tests nothing", asked)
	}
}

func TestRequestsAreLimitedInTotal(t *testing.T) {
	s := newStage(t)
	var peers []path.Peer
	for i := range 300 {
		n, p := key.NewNode(), key.NewPath()
		peers = append(peers, path.Peer{ID: fmt.Sprint(i), Node: n.Public(), Path: p.Public(), Candidates: addresses(16)})
	}
	if err := s.SetPeers(s.now, peers); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		s.Want(s.now, p.ID)
	}
	asked := s.count(4*time.Second, func() {})
	if limit := 250 + 4*500; asked > limit || asked < limit/2 {
		t.Errorf("%d requests in 4 s, want at most %d, and more than half of it", asked, limit)
	}
}

func TestUnusableCandidatesAreNotAsked(t *testing.T) {
	s := newStage(t)
	for _, text := range []string{"0.0.0.0:1", "224.0.0.1:5", "255.255.255.255:5", "[fe80::1]:5", "[::]:5", "[ff02::1]:5", "192.0.2.1:0"} {
		s.SetCandidates(s.now, "friend", []netip.AddrPort{netip.MustParseAddrPort(text), {}})
		s.Want(s.now, "friend")
		if n := s.Info("friend").Candidates; n != 0 {
			t.Errorf("%s is a candidate", text)
		}
	}
	s.SetCandidates(s.now, "friend", []netip.AddrPort{netip.MustParseAddrPort("[::ffff:192.0.2.1]:5"), netip.MustParseAddrPort("192.0.2.1:5")})
	if n := s.Info("friend").Candidates; n != 1 {
		t.Errorf("one address in two forms makes %d candidates", n)
	}
}

func TestGarbageAllocatesNothing(t *testing.T) {
	s, other := newStage(t), key.ProbeKey{1}
	s.established(t)
	for what, b := range map[string][]byte{
		"stranger":         s.codec.AppendRequest(nil, probe.ID{8}, s.me, probe.Short{1}, &other),
		"forged request":   s.codec.AppendRequest(nil, probe.ID{8}, s.me, s.friend, &other),
		"unasked answer":   s.codec.AppendAnswer(nil, probe.ID{8}, behind, &other),
		"not for us":       s.codec.AppendRequest(nil, probe.ID{8}, probe.Short{1}, s.friend, &other),
		"unknown datagram": {1, 2, 3},
	} {
		if n := testing.AllocsPerRun(100, func() { s.Receive(s.now, path.Direct(evil), b) }); n != 0 && !racing {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func FuzzReceive(f *testing.F) {
	s := newStage(f)
	s.established(f)
	f.Add(s.codec.AppendRequest(nil, probe.ID{8}, s.me, s.friend, &key.ProbeKey{1}))
	f.Add(s.codec.AppendAnswer(nil, probe.ID{8}, behind, &key.ProbeKey{1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := s.Info("friend")
		s.Receive(s.now, path.Direct(evil), b)
		if acts := s.Take(); len(acts) != 0 || s.Info("friend") != before {
			t.Fatalf("%x leads to %+v", b, acts)
		}
	})
}

func BenchmarkReceiveForged(b *testing.B) {
	s, other := newStage(b), key.ProbeKey{1}
	s.established(b)
	forged := s.codec.AppendRequest(nil, probe.ID{8}, s.me, s.friend, &other)
	b.ReportAllocs()
	for b.Loop() {
		s.now = s.now.Add(time.Microsecond) // a million a second
		s.Receive(s.now, path.Direct(evil), forged)
	}
}

func BenchmarkReceiveUnaskedAnswer(b *testing.B) {
	s := newStage(b)
	s.established(b)
	forged := s.codec.AppendAnswer(nil, probe.ID{8}, behind, &s.secret)
	b.ReportAllocs()
	for b.Loop() {
		s.Receive(s.now, path.Direct(evil), forged)
	}
}

// BenchmarkSetPeers gives a Set of 10,000 peers the same map again.
func BenchmarkSetPeers(b *testing.B) {
	s := newStage(b)
	var peers []path.Peer
	for i := range 10_000 {
		n, p := key.NewNode(), key.NewPath()
		peers = append(peers, path.Peer{ID: fmt.Sprint(i), Node: n.Public(), Path: p.Public(), Candidates: addresses(3)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.SetPeers(s.now, peers); err != nil {
			b.Fatal(err)
		}
	}
}
