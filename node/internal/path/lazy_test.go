package path_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/wire/key"
	"github.com/cordonmesh/cordon/node/internal/path"
	"github.com/cordonmesh/cordon/node/internal/path/probe"
)

// crowd is so many peers that nobody has spoken to, at three addresses and a
// relay each. Keys are made up: agreeing on one is put off until a peer wakes.
func crowd(tb testing.TB, n int) []path.Peer {
	tb.Helper()
	peers := make([]path.Peer, n)
	for i := range peers {
		id, secret := key.NewNode(), key.NewPath()
		peers[i] = path.Peer{
			ID: fmt.Sprintf("n-%020d", i), Node: id.Public(), Path: secret.Public(),
			Candidates: addresses(3), Home: "r1",
		}
	}
	return peers
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// perPeer is what a peer adds to the memory of a Set, in bytes.
func perPeer(tb testing.TB, peers []path.Peer, after func(s *stage)) float64 {
	tb.Helper()
	s := newStage(tb)
	before := heap()
	if err := s.SetPeers(s.now, peers); err != nil {
		tb.Fatal(err)
	}
	after(s)
	used := heap() - before
	runtime.KeepAlive(s)
	runtime.KeepAlive(peers)
	return float64(used) / float64(len(peers))
}

// BenchmarkSleepingPeers tells what a permitted peer costs that nobody speaks to.
func BenchmarkSleepingPeers(b *testing.B) {
	peers := crowd(b, 10_000)
	for b.Loop() {
		b.ReportMetric(perPeer(b, peers, func(*stage) {}), "bytes/peer")
	}
}

func TestSleepingPeersCostLittleAndPeersThatFellAsleepNoMore(t *testing.T) {
	peers := crowd(t, 1000)
	asleep := perPeer(t, peers, func(*stage) {})
	if asleep > 700 && !racing {
		t.Errorf("%.0f bytes for a peer that sleeps", asleep)
	}
	woken := perPeer(t, peers, func(s *stage) {
		for _, p := range peers {
			s.Want(s.now, p.ID)
		}
		for range 6 * 60 {
			s.now = s.now.Add(time.Second)
			s.Tick(s.now)
			s.Take()
		}
		if next := s.Next(); !next.IsZero() {
			t.Errorf("there is something to do at %v although all sleep", next)
		}
	})
	if woken > asleep+100 && !racing {
		t.Errorf("%.0f bytes for a peer that was awake and sleeps again, %.0f for one that never was", woken, asleep)
	}
}

// among gives a Set of many sleeping peers and 50 that are awake and have a path.
func among(tb testing.TB, sleeping int) *stage {
	s := newStage(tb)
	peers := append(crowd(tb, sleeping), s.peer)
	secrets := map[string]key.ProbeKey{}
	mine := fixedPath(tb, "3")
	for i := range 50 {
		id, theirs := key.NewNode(), key.NewPath()
		p := path.Peer{ID: fmt.Sprint("busy", i), Node: id.Public(), Path: theirs.Public(), Candidates: addresses(60)[50+i%10:][:1]}
		secret, err := theirs.Agree(mine.Public())
		if err != nil {
			tb.Fatal(err)
		}
		secrets[p.ID], peers = secret, append(peers, p)
	}
	if err := s.SetPeers(s.now, peers); err != nil {
		tb.Fatal(err)
	}
	for id := range secrets {
		s.Want(s.now, id)
	}
	s.Tick(s.now)
	for _, a := range s.Take() {
		if h, _ := probe.Peek(a.Datagram); a.Do == path.Send && h.Kind == probe.Request {
			secret := secrets[a.Peer]
			s.Receive(s.now, a.To, s.codec.AppendAnswer(nil, h.ID, behind, &secret))
		}
	}
	s.Take()
	return s
}

// second is what a busy node does in a second.
func (s *stage) second() {
	for range 100 {
		s.now = s.now.Add(10 * time.Millisecond)
		s.Next()
		s.Tick(s.now)
		s.Take()
	}
	for i := range 50 {
		s.Want(s.now, fmt.Sprint("busy", i))
	}
	s.Take()
}

// BenchmarkSecondOfABusyNode has 50 peers awake among so many that sleep: the
// cost must not grow with these.
func BenchmarkSecondOfABusyNode(b *testing.B) {
	for _, sleeping := range []int{0, 10_000} {
		b.Run(fmt.Sprint(sleeping), func(b *testing.B) {
			s := among(b, sleeping)
			b.ReportAllocs()
			for b.Loop() {
				s.second()
			}
		})
	}
}

func TestCostDoesNotGrowWithSleepingPeers(t *testing.T) {
	few, many := among(t, 0), among(t, 5000)
	a := testing.AllocsPerRun(5, few.second)
	b := testing.AllocsPerRun(5, many.second)
	if b > a*1.2+50 && !racing {
		t.Errorf("%.0f allocations a second among 5,000 sleeping peers, %.0f among none", b, a)
	}
	for what, do := range map[string]func(s *stage){
		"Next":           func(s *stage) { s.Next() },
		"Tick":           func(s *stage) { s.Tick(s.now) },
		"NetworkChanged": func(s *stage) { s.NetworkChanged(s.now); s.Take() },
		"RelayUp":        func(s *stage) { s.RelayUp(s.now, "r1"); s.Take() },
	} {
		a, b := took(few, do), took(many, do)
		if b > 10*a+200*time.Microsecond {
			t.Errorf("%s takes %v among 5,000 sleeping peers, %v among none", what, b, a)
		}
	}
}

// took is the shortest of some runs.
func took(s *stage, do func(*stage)) time.Duration {
	best := time.Hour
	for range 20 {
		start := time.Now()
		do(s)
		best = min(best, time.Since(start))
	}
	return best
}
